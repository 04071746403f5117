package scrape

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// familyKey is what all series of a family have in common.
type familyKey struct {
	about
	shape string
}

// family is series of one name, type and shape, of all targets. Its description stays the same while no label is new.
type family struct {
	key   familyKey
	uses  int
	names map[string]bool // of labels
	desc  *metric.Desc    // nil = to be made

	// Of the tick at hand.
	tick   uint32
	count  int
	series []metric.Series
}

// acquire finds a family for a series with these labels, or makes it.
func (s *source) acquire(key familyKey, set *metric.LabelSet) *family {
	f := s.families[key]
	if f == nil {
		f = &family{key: key, names: map[string]bool{}}
		s.families[key] = f
	}
	f.uses++
	if set != nil {
		for l := range set.All() {
			if !f.names[l.Name] {
				f.names[l.Name], f.desc = true, nil
			}
		}
	}
	return f
}

func (s *source) release(f *family) {
	if f == nil {
		return
	}
	if f.uses--; f.uses == 0 {
		delete(s.families, f.key)
	}
}

func (f *family) describe() *metric.Desc {
	if f.desc != nil {
		return f.desc
	}
	d := &metric.Desc{
		Name: f.key.name, Help: f.key.help, Unit: f.key.unit, Type: f.key.typ,
		LabelNames: slices.Sorted(maps.Keys(f.names)), Targeted: true,
	}
	var bounds []float64
	shape := []byte(f.key.shape)
	for ; len(shape) >= 8; shape = shape[8:] {
		bounds = append(bounds, math.Float64frombits(binary.BigEndian.Uint64(shape)))
	}
	switch d.Type {
	case metric.Histogram, metric.GaugeHistogram:
		d.Native = len(shape) > 0
		d.Buckets = bounds[:max(0, len(bounds)-1)] // the last one is +Inf
	case metric.Summary:
		d.Quantiles = bounds
	}
	f.desc = d
	return d
}

// arena lends memory that is never taken back, in pieces of a larger one: what it lends goes into batches.
type arena[T any] struct{ block []T }

func (a *arena[T]) some(n int) []T {
	if n > len(a.block) {
		a.block = make([]T, max(n, 512))
	}
	lent := a.block[:n:n]
	a.block = a.block[n:]
	return lent
}
