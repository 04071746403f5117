package exposition

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// familyKey is what all series of a family have in common.
type familyKey struct {
	description
	shape string // for histograms and summaries: see [parts.shape]
}

// family holds all series with the same name, type and shape, of all targets.
type family struct {
	key        familyKey
	uses       int             // number of series in it
	labelNames map[string]bool // label names of all its series
	desc       *metric.Desc    // nil after a change; while nothing changes, the pointer stays the same

	// Fields of the current round.
	round   uint32
	count   int
	series  []metric.Series
	earlier map[*metric.LabelSet][]metric.Point
}

// acquire returns the family for a series with these labels. It creates the family if it does not exist.
func (p *Pool) acquire(key familyKey, labels *metric.LabelSet) *family {
	f := p.families[key]
	if f == nil {
		f = &family{key: key, labelNames: map[string]bool{}}
		p.families[key] = f
	}
	f.uses++
	if labels != nil {
		for l := range labels.All() {
			if !f.labelNames[l.Name] {
				f.labelNames[l.Name], f.desc = true, nil
			}
		}
	}
	return f
}

// release ends one use of a family. The family may be nil.
func (p *Pool) release(f *family) {
	if f == nil {
		return
	}
	if f.uses--; f.uses == 0 {
		delete(p.families, f.key)
	}
}

func (f *family) addEarlier(of *metric.LabelSet, points []metric.Point) {
	if f.earlier == nil {
		f.earlier = map[*metric.LabelSet][]metric.Point{}
	}
	f.earlier[of] = points
}

// describe returns the description of a family.
func (p *Pool) describe(f *family) *metric.Desc {
	if f.desc != nil {
		return f.desc
	}
	d := &metric.Desc{
		Name: f.key.name, Help: f.key.help, Unit: f.key.unit, Type: f.key.typ,
		LabelNames: slices.Sorted(maps.Keys(f.labelNames)), Targeted: !p.options.Untargeted, Scraped: f.key.scraped,
	}
	var bounds []float64
	shape := []byte(f.key.shape)
	for ; len(shape) >= 8; shape = shape[8:] {
		bounds = append(bounds, math.Float64frombits(binary.BigEndian.Uint64(shape)))
	}
	switch d.Type {
	case metric.Histogram, metric.GaugeHistogram:
		d.Native, d.KeepClassic = len(shape) > 0, string(shape) == string(shapeBoth)
		d.Buckets = bounds[:max(0, len(bounds)-1)] // without +Inf
	case metric.Summary:
		d.Quantiles = bounds
	}
	f.desc = d
	return d
}
