package config

import (
	"errors"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// Selector selects series as PromQL does: by the name of a metric and by labels that are equal to values. The zero value is not a valid
// selector.
type Selector struct {
	Metric string
	Labels []metric.Label

	text string // the selector as the user wrote it
}

var errSelector = errors.New(`want a metric, and labels with their values if needed, such as http_errors_total{code="500", job="api"}`)

// UnmarshalText parses name, name{label="value", …} or {"name", …}. It refuses operators other than =, such as =~.
func (s *Selector) UnmarshalText(text []byte) error {
	name, inside, braces := strings.Cut(strings.TrimSpace(string(text)), "{")
	read := Selector{Metric: strings.TrimSpace(name), text: strings.TrimSpace(string(text))}
	if read.Metric != "" && !model.LegacyValidation.IsValidMetricName(read.Metric) {
		return errSelector
	}
	if braces {
		var closed bool
		if inside, closed = strings.CutSuffix(inside, "}"); !closed {
			return errSelector
		}
		for rest := strings.TrimSpace(inside); rest != ""; {
			var ok bool
			if rest, ok = read.parseLabel(rest); !ok {
				return errSelector
			}
		}
	}
	if read.Metric == "" || !model.UTF8Validation.IsValidMetricName(read.Metric) {
		return errSelector
	}
	*s = read
	return nil
}

// parseLabel parses a label, or the metric's name in quotes, and returns the text after the next comma.
func (s *Selector) parseLabel(text string) (rest string, ok bool) {
	name, rest, quoted := unquoted(text)
	if !quoted {
		end := strings.IndexByte(text, '=')
		if end < 0 {
			return "", false
		}
		name, rest = strings.TrimSpace(text[:end]), text[end:]
		if !model.LegacyValidation.IsValidLabelName(name) {
			return "", false
		}
	}
	if after, equals := strings.CutPrefix(strings.TrimSpace(rest), "="); equals {
		var value string
		if value, rest, ok = unquoted(strings.TrimSpace(after)); !ok || name == "" || name == model.MetricNameLabel {
			return "", false
		}
		s.Labels = append(s.Labels, metric.Label{Name: name, Value: value})
	} else if s.Metric != "" {
		return "", false
	} else {
		s.Metric = name
	}
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return "", true
	}
	rest, ok = strings.CutPrefix(rest, ",")
	return strings.TrimSpace(rest), ok
}

// unquoted cuts a quoted string from the beginning of text. It returns the string without quotes, and the rest of text.
func unquoted(text string) (inside, rest string, ok bool) {
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil || quoted[0] == '\'' {
		return "", text, false
	}
	inside, err = strconv.Unquote(quoted)
	return inside, text[len(quoted):], err == nil
}

// String returns the selector as the user wrote it.
func (s Selector) String() string { return s.text }

// MarshalText returns the selector as the user wrote it.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// Matches reports whether the selector selects a series of its metric with these labels. A missing label counts as empty. If the series
// has no label job, the name of its job is used, since receivers of samples see that label.
func (s *Selector) Matches(job string, labels *metric.LabelSet) bool {
	for _, l := range s.Labels {
		value := labels.Get(l.Name)
		if l.Name == model.JobLabel && value == "" {
			value = job
		}
		if value != l.Value {
			return false
		}
	}
	return true
}
