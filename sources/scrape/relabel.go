package scrape

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
)

// Relabel is a rule of Prometheus' relabel_config.
type Relabel struct {
	SourceLabels []string `yaml:"source_labels"`
	Separator    *string  `yaml:"separator"`
	Regex        *string  `yaml:"regex"`
	Modulus      uint64   `yaml:"modulus"`
	TargetLabel  string   `yaml:"target_label"`
	Replacement  *string  `yaml:"replacement"`
	Action       string   `yaml:"action"`
}

func actions() []relabel.Action {
	return []relabel.Action{
		relabel.Replace, relabel.Keep, relabel.Drop, relabel.KeepEqual, relabel.DropEqual, relabel.HashMod, relabel.LabelMap,
		relabel.LabelDrop, relabel.LabelKeep, relabel.Lowercase, relabel.Uppercase,
	}
}

// rule is the rule as Prometheus' own code applies it.
func (r *Relabel) rule() (*relabel.Config, error) {
	c := relabel.DefaultRelabelConfig
	for _, name := range r.SourceLabels {
		c.SourceLabels = append(c.SourceLabels, model.LabelName(name))
	}
	c.Modulus, c.TargetLabel = r.Modulus, r.TargetLabel
	if r.Separator != nil {
		c.Separator = *r.Separator
	}
	if r.Replacement != nil {
		c.Replacement = *r.Replacement
	}
	if r.Action != "" {
		c.Action = relabel.Action(strings.ToLower(r.Action))
		if !slices.Contains(actions(), c.Action) {
			return nil, fmt.Errorf("action: want one of %s", strings.Trim(fmt.Sprint(actions()), "[]"))
		}
	}
	if r.Regex != nil {
		regex, err := relabel.NewRegexp(*r.Regex)
		if e, ok := errors.AsType[*syntax.Error](err); ok {
			return nil, fmt.Errorf("regex: %s", e.Code) // its own text shows the expression as it was anchored
		}
		if err != nil {
			return nil, fmt.Errorf("regex: %w", err)
		}
		c.Regex = regex
	}
	if err := c.Validate(model.UTF8Validation); err != nil {
		return nil, err
	}
	return &c, nil
}
