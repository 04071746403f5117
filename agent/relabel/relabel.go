// Package relabel reads Prometheus' relabeling rules from settings. A source or sink has [Rules] in its settings and compiles them
// in New. Prometheus' own package model/relabel applies the rules, so they mean exactly the same as in Prometheus.
package relabel

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/setting"
)

// Rules are relabeling rules, which are applied in order. The settings are the same as in Prometheus' relabel_config.
type Rules []Rule

// Rule is one relabeling rule. A nil pointer means that the setting is not set. Prometheus' default is then used.
type Rule struct {
	SourceLabels []string `yaml:"source_labels"`
	Separator    *string  `yaml:"separator"`
	Regex        *string  `yaml:"regex"`
	Modulus      uint64   `yaml:"modulus"`
	TargetLabel  string   `yaml:"target_label"`
	Replacement  *string  `yaml:"replacement"`
	Action       string   `yaml:"action"`
}

// Verbatim implements setting.Verbatim, since replacements contain $1 and ${1}, which are not references.
func (Rules) Verbatim() {}

// Compile checks the rules and converts them to Prometheus' type. It reports all invalid rules. The path of an error consists of the
// argument "path" and the rule's index.
func (rules Rules) Compile(path string) ([]*relabel.Config, error) {
	var all []*relabel.Config
	var errs []error
	for i := range rules {
		rule, err := rules[i].compile()
		if err != nil {
			errs = append(errs, setting.Errorf(fmt.Sprintf("%s.%d", path, i), "%v", err))
		}
		all = append(all, rule)
	}
	return all, errors.Join(errs...)
}

func actions() []relabel.Action {
	return []relabel.Action{
		relabel.Replace, relabel.Keep, relabel.Drop, relabel.KeepEqual, relabel.DropEqual, relabel.HashMod, relabel.LabelMap,
		relabel.LabelDrop, relabel.LabelKeep, relabel.Lowercase, relabel.Uppercase,
	}
}

func (r *Rule) compile() (*relabel.Config, error) {
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
			return nil, fmt.Errorf("regex: %s", e.Code) // the error's text has the anchored expression, which the user has not written
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
