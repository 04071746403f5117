package groups

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// base64Suffix is the suffix of a label name whose value is encoded.
const base64Suffix = "@base64"

// maxGroupingLabels is the maximum number of labels of a group.
const maxGroupingLabels = 64

// ParsePath returns the labels of the group that a path names, sorted by name. The path is the part after /metrics of a
// Pushgateway's URL, decoded: /job/NAME/LABEL/VALUE… A value may be in base64 (RFC 4648, section 5) if its name has the suffix
// @base64.
func ParsePath(path string, scheme model.ValidationScheme) ([]metric.Label, error) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	value, rest, more := strings.Cut(rest, "/")
	job := value
	switch first {
	case model.JobLabel:
	case model.JobLabel + base64Suffix:
		var err error
		if job, err = decodeBase64(value); err != nil {
			return nil, fmt.Errorf("invalid base64 encoding in job name %.80q: %w", value, err)
		}
	default:
		return nil, errors.New("the path of a group begins with /metrics/job/NAME or /metrics/job@base64/NAME")
	}
	if job == "" {
		return nil, errors.New("job name is required")
	}
	labels := []metric.Label{{Name: model.JobLabel, Value: job}}
	if more && rest != "" {
		var err error
		if labels, err = parseLabels(labels, rest, scheme); err != nil {
			return nil, err
		}
	}
	for _, l := range labels {
		if !model.LabelValue(l.Value).IsValid() {
			return nil, fmt.Errorf("the value of label %.80q is not UTF-8", l.Name)
		}
	}
	slices.SortFunc(labels, byName)
	return labels, nil
}

// parseLabels appends the labels in LABEL/VALUE/LABEL/VALUE… If a name occurs several times, its final value is used. The label job is not
// changed.
func parseLabels(labels []metric.Label, path string, scheme model.ValidationScheme) ([]metric.Label, error) {
	components := strings.Split(path, "/")
	if len(components)%2 != 0 {
		return nil, fmt.Errorf("odd number of components in label string %.200q: each label has a name and a value; a value with a slash needs %s", path, base64Suffix)
	}
	if len(components) > 2*maxGroupingLabels {
		return nil, fmt.Errorf("a group can have at most %d labels", maxGroupingLabels)
	}
	for i := 0; i < len(components); i += 2 {
		name, isEncoded := strings.CutSuffix(components[i], base64Suffix)
		value := components[i+1]
		unescaped := name
		if scheme == model.UTF8Validation {
			unescaped = model.UnescapeName(name, model.ValueEncodingEscaping)
		}
		if !scheme.IsValidLabelName(unescaped) || strings.HasPrefix(unescaped, model.ReservedLabelPrefix) {
			return nil, fmt.Errorf("improper label name %.80q", name)
		}
		if isEncoded {
			decoded, err := decodeBase64(value)
			if err != nil {
				return nil, fmt.Errorf("invalid base64 encoding for label %s=%.80q: %w", name, value, err)
			}
			value = decoded
		}
		switch at := slices.IndexFunc(labels, func(l metric.Label) bool { return l.Name == unescaped }); {
		case at < 0:
			labels = append(labels, metric.Label{Name: unescaped, Value: value})
		case at > 0:
			labels[at].Value = value
		}
	}
	return labels, nil
}

// decodeBase64 decodes base64 in the alphabet for URLs, with or without padding.
func decodeBase64(text string) (string, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	return string(decoded), err
}

func byName(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) }

// keyOf returns the key of the group with these labels. Groups have the same key if they have the same labels. As everywhere in
// Prometheus, a label with an empty value is the same as no label: otherwise two groups could have the same series.
func keyOf(labels []metric.Label) string {
	var key []byte
	for _, l := range labels {
		if l.Value != "" {
			key = metric.AppendLabel(key, l.Name, l.Value)
		}
	}
	return string(key)
}
