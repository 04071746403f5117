package metric

import (
	"slices"
	"sort"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
)

type exemplarSlabs struct {
	values slab[dto.Exemplar]
	lists  slab[*dto.Exemplar]
}

// Bucket returns the index of the bucket of a classic histogram to which the exemplar belongs, or -1 if the exemplar does not belong to a
// bucket.
func (e *Exemplar) Bucket(bounds []float64) int {
	switch {
	case e.Sample == 0:
		return sort.SearchFloat64s(bounds, e.Value)
	case e.Sample <= len(bounds)+1:
		return e.Sample - 1
	}
	return -1
}

// maxExemplarTime is the limit for timestamps of exemplars, in Unix milliseconds. It is needed because formats write them in
// nanoseconds.
const maxExemplarTime = 9e12

// isPortable reports whether the exemplar can be written in every format. Other exemplars are left out.
func (e *Exemplar) isPortable() bool {
	isLegacy := func(l Label) bool { return model.LegacyValidation.IsValidLabelName(l.Name) }
	return e.Time >= 0 && e.Time < maxExemplarTime && len(e.Labels) > 0 && !slices.ContainsFunc(e.Labels, func(l Label) bool { return !isLegacy(l) })
}

func everyExemplar(*Exemplar) bool { return true }

// newestExemplar returns the message for one exemplar of a series, since the formats allow only one for a counter or bucket. It is the
// newest exemplar that the function "fits" accepts. If the function accepts none, the result is nil.
func (c *Converter) newestExemplar(s *Series, fits func(*Exemplar) bool) *dto.Exemplar {
	var newest *Exemplar
	all := s.Exemplars()
	for i := range all {
		if e := &all[i]; fits(e) && e.isPortable() && (newest == nil || e.Time >= newest.Time) {
			newest = e
		}
	}
	if newest == nil {
		return nil
	}
	return c.exemplar(newest)
}

func (c *Converter) exemplar(e *Exemplar) *dto.Exemplar {
	m := c.exemplars.values.one()
	m.Reset()
	m.Value, m.Timestamp, m.Label = &e.Value, c.start(e.Time), c.pairsOfLabels(e.Labels)
	return m
}

// histogramExemplars sets the exemplars of the classic buckets and of the native histogram. An exemplar of a native histogram must have a
// timestamp.
func (c *Converter) histogramExemplars(d *Desc, s *Series, h *dto.Histogram) {
	for i, b := range h.Bucket {
		b.Exemplar = c.newestExemplar(s, func(e *Exemplar) bool {
			return (e.Sample != 0 || s.Histogram().Native == nil) && e.Bucket(d.Buckets) == i
		})
	}
	if h.Schema == nil {
		return
	}
	all := s.Exemplars()
	list := c.exemplars.lists.some(len(all))[:0]
	for i := range all {
		if e := &all[i]; e.Sample == 0 && e.Time != 0 && e.isPortable() {
			list = append(list, c.exemplar(e))
		}
	}
	h.Exemplars = list
}
