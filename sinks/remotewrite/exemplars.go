package remotewrite

import (
	"sort"

	"github.com/collectington/collectington/agent/metric"
)

// exemplar is what is remembered of an exemplar, to know it again: an exporter shows the same one until there is a newer.
type exemplar struct {
	time  int64
	value float64
}

// exemplarsOf are the exemplars of part i of a family's series. One of a classic histogram belongs to the bucket that its
// value falls into.
func exemplarsOf(d *metric.Desc, s *metric.Series, i int) []metric.Exemplar {
	switch {
	case d.Type == metric.Counter, s.Histogram() != nil && s.Histogram().Native != nil:
		return s.Exemplars()
	case d.Type != metric.Histogram || i > len(d.Buckets):
		return nil
	}
	var own []metric.Exemplar
	for _, e := range s.Exemplars() {
		if sort.SearchFloat64s(d.Buckets, e.Value) == i {
			own = append(own, e)
		}
	}
	return own
}

// news are those that have not been told of the series yet; a series' exemplars are told in order of time.
func (s *series) news(all []metric.Exemplar) *[]metric.Exemplar {
	var fresh []metric.Exemplar
	for _, e := range all {
		if last := s.exemplar; last != nil && (e.Time < last.time || e.Time == last.time && e.Value == last.value) {
			continue
		}
		s.exemplar = &exemplar{e.Time, e.Value}
		fresh = append(fresh, e)
	}
	if fresh == nil {
		return nil
	}
	return &fresh
}
