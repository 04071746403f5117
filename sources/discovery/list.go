package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
)

// Bounds of lists of targets.
const (
	MaxBytes   = 16 << 20 // size of one list
	MaxTargets = 10_000   // number of targets of a job

	maxJSONValues = 1_500_000 // values of a list in JSON, estimated before it is decoded; each needs up to 100 bytes
	maxYAMLValues = 250_000   // values of a list in YAML, estimated before it is decoded; each needs up to 700 bytes
	maxLabels     = 200       // labels of a group
)

// Group is one entry of a list of targets, in the format of Prometheus' file_sd_config.
type Group struct {
	Targets []string          `yaml:"targets" json:"targets"`
	Labels  map[string]string `yaml:"labels" json:"labels"`

	Meta     labels.Label `yaml:"-" json:"-"` // label that says where the group was found, for relabel_configs
	IsRemote bool         `yaml:"-" json:"-"` // the group comes from a server, not from a file
}

// parseJSON parses a list in JSON.
func parseJSON(list []byte) ([]Group, error) {
	if text.Values(list) > maxJSONValues {
		return nil, fmt.Errorf("has more than %d values, estimated from its punctuation: make several lists", maxJSONValues)
	}
	var groups []Group
	decoder := json.NewDecoder(bytes.NewReader(list))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&groups); err != nil {
		return nil, fmt.Errorf("want a JSON list of {targets, labels}: %.200w", err)
	}
	if decoder.More() {
		return nil, errors.New("want a JSON list of {targets, labels} and nothing after it")
	}
	return groups, nil
}

// parseYAML parses a list in YAML or JSON. A list in JSON may have many more values, since the decoder of JSON needs less memory.
func parseYAML(list []byte) ([]Group, error) {
	switch tooMany := text.Values(list) > maxYAMLValues; {
	case tooMany && json.Valid(list):
		return parseJSON(list)
	case tooMany:
		return nil, fmt.Errorf("has more than %d values, estimated from its punctuation: use JSON for a list of this size, or several files", maxYAMLValues)
	}
	var root yaml.Node
	err := yaml.Load(list, &root)
	if err == nil {
		err = checkSize(&root)
	}
	var groups []Group
	if err == nil {
		err = root.Load(&groups, yaml.WithKnownFields())
	}
	if err != nil {
		return nil, fmt.Errorf("want a list of {targets, labels}: %s", text.Cut(text.OneLine(err.Error()), 200))
	}
	return groups, nil
}

// checkSize returns an error if a mapping is too large: the time for decoding a mapping grows with the square of its size.
func checkSize(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode && len(n.Content) > 2*maxLabels {
		return fmt.Errorf("line %d: has more than %d labels", n.Line, maxLabels)
	}
	for _, child := range n.Content {
		if err := checkSize(child); err != nil {
			return err
		}
	}
	return nil
}

// checkGroups checks the targets, the names of labels, and the number of targets.
func checkGroups(groups []Group, check func(target string) error) error {
	n := 0
	for i := range groups {
		for _, target := range groups[i].Targets {
			if err := check(target); err != nil {
				return fmt.Errorf("target %.80q: %w", target, err)
			}
		}
		for name := range groups[i].Labels {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return fmt.Errorf("%.80q is not a valid label name", name)
			}
		}
		if n += len(groups[i].Targets); n > MaxTargets {
			return fmt.Errorf("it lists more than %d targets", MaxTargets)
		}
	}
	return nil
}
