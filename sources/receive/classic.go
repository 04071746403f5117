package receive

import (
	"maps"
	"math"

	"github.com/collectington/collectington/agent/metric"
)

// classics converts native histograms to classic ones. It keeps the descriptions, so that a family has the same description in each
// tick.
type classics map[*metric.Desc]*metric.Desc

// of converts a family of native histograms to a family of classic histograms, with their classic buckets. A histogram without
// classic buckets gets the bucket +Inf, the sum and the count.
func (c *classics) of(f metric.Family) metric.Family {
	desc := (*c)[f.Desc]
	if desc == nil {
		plain := *f.Desc
		plain.Native, plain.KeepClassic = false, false
		desc = &plain
		if *c == nil {
			*c = classics{}
		}
		(*c)[f.Desc] = desc
	}
	out := metric.Family{Desc: desc, Series: make([]metric.Series, len(f.Series))}
	for i, s := range f.Series {
		h := s.Histogram()
		v := &metric.HistogramValue{Count: h.Count, Sum: h.Sum, Counts: h.Counts}
		if h.Native.Fractions {
			v.Count = uint64(math.Round(math.Float64frombits(h.Count)))
		}
		if len(v.Counts) == 0 {
			v.Counts = []uint64{v.Count}
		}
		s.More = &metric.More{Histogram: v}
		for _, e := range f.Series[i].Exemplars() {
			if e.Sample != 0 { // it belongs to a classic bucket
				s.More.Exemplars = append(s.More.Exemplars, e)
			}
		}
		out.Series[i] = s
	}
	return out
}

// forget removes the descriptions that are no longer used.
func (c *classics) forget(used map[*metric.Desc]int) {
	maps.DeleteFunc(*c, func(_, made *metric.Desc) bool {
		_, isUsed := used[made]
		return !isUsed
	})
}
