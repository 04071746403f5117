package ledger

import (
	"encoding/json"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// meaning is all of a metric's declaration that its state depends on. It has the fields of metric.Desc, which the compiler
// holds; those that say nothing of the state are left out of the text.
type meaning struct {
	Name string      `json:"name"`
	Help string      `json:"-"`
	Unit string      `json:"unit,omitempty"`
	Type metric.Type `json:"type,omitempty"`

	How string `json:"how,omitempty"`

	LabelNames []string       `json:"labels,omitempty"`
	Const      []metric.Label `json:"const_labels,omitempty"`

	Targeted bool `json:"targeted,omitempty"`

	Delta       bool               `json:"delta,omitempty"`
	From        metric.From        `json:"from,omitempty"`
	OnDecrease  metric.OnDecrease  `json:"on_decrease,omitempty"`
	OnDuplicate metric.OnDuplicate `json:"on_duplicate,omitempty"`

	Once      bool          `json:"once,omitempty"`
	Remember  time.Duration `json:"remember,omitempty"`
	MaxEvents int           `json:"max_events,omitempty"`

	FirstRun metric.FirstRun `json:"-"`

	Buckets   []float64     `json:"buckets,omitempty"`
	Native    bool          `json:"native,omitempty"`
	Quantiles []float64     `json:"quantiles,omitempty"`
	MaxAge    time.Duration `json:"max_age,omitempty"`
}

// meaningOf is the meaning as a text, which a setting that comes with a later version does not change where it is not
// used. It is empty for a declaration that has none, such as one with an infinite bucket.
func meaningOf(d *metric.Desc) string {
	text, err := json.Marshal(meaning(*d))
	if err != nil {
		return ""
	}
	return string(text)
}

// sameMeaning tells whether the state of one is that of the other.
func sameMeaning(a, b *metric.Desc) bool {
	text := meaningOf(a)
	return text != "" && text == meaningOf(b)
}

// declared is the declaration with a meaning.
func declared(text string) (*metric.Desc, error) {
	var m meaning
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	d := metric.Desc(m)
	return &d, nil
}
