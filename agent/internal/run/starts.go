package run

import (
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// starts holds the start timestamps of the agent's own counters. All of these counters begin at zero in this process. The
// counters in the first report start when the agent began. A series that a later report adds starts at the time of the
// previous report.
type starts struct {
	last time.Time // time of the previous report, or when the agent began
	of   map[*metric.LabelSet]int64
}

// set sets the start of every counter in a report that is made at the time "now". A start that is already set is kept: the counter was
// reset, or an earlier process has begun it.
func (s *starts) set(families []metric.Family, now time.Time) {
	of := make(map[*metric.LabelSet]int64, len(s.of))
	for i := range families {
		if families[i].Desc.Type != metric.Counter {
			continue
		}
		series := families[i].Series
		for k := range series {
			c := &series[k]
			if c.Start == 0 {
				var known bool
				if c.Start, known = s.of[c.Labels]; !known {
					c.Start = s.last.UnixMilli()
				}
			}
			of[c.Labels] = c.Start
		}
	}
	s.of, s.last = of, now
}
