package expose

import (
	"bytes"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// creations tells in the text format when each running total of a family began: as a gauge of its own, NAME_created, in
// Unix seconds, as the Python client does. The other formats have a place for it.
type creations struct {
	on   bool
	text bytes.Buffer
}

// add notes a chunk of a family.
func (c *creations) add(chunk *dto.MetricFamily) error {
	name := chunk.GetName()
	if chunk.GetType() == dto.MetricType_COUNTER {
		name = strings.TrimSuffix(name, "_total")
	}
	name += "_created"
	made := &dto.MetricFamily{Name: &name, Help: chunk.Help, Type: dto.MetricType_GAUGE.Enum()}
	for _, m := range chunk.Metric {
		at := m.GetCounter().GetCreatedTimestamp()
		if m.Histogram != nil {
			at = m.Histogram.CreatedTimestamp
		} else if m.Summary != nil {
			at = m.Summary.CreatedTimestamp
		}
		if at != nil {
			began := float64(at.Seconds) + float64(at.Nanos)/1e9
			made.Metric = append(made.Metric, &dto.Metric{Label: m.Label, Gauge: &dto.Gauge{Value: &began}})
		}
	}
	if len(made.Metric) == 0 {
		return nil
	}
	begun := c.text.Len()
	if _, err := expfmt.MetricFamilyToText(&c.text, made); err != nil {
		return err
	}
	if begun > 0 {
		more := withoutHead(bytes.Clone(c.text.Bytes()[begun:]))
		c.text.Truncate(begun)
		c.text.Write(more)
	}
	return nil
}

// end gives what was noted of the family at hand.
func (c *creations) end() []byte {
	text := c.text.Bytes()
	c.text.Reset()
	return text
}

// withoutHead leaves off a family's help and type, which only its first chunk tells.
func withoutHead(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("# ")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}
