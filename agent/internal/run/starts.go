package run

import (
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// starts are the start timestamps of the agent's own counters. All of them begin at zero in this process: those of the first
// report when the agent began, and a series that a later report adds with the report before it.
type starts struct {
	last time.Time // of the report before, or when the agent began
	of   map[*metric.LabelSet]int64
}

// set sets the start of every counter in a report at now. A counter that the ledger has found to begin again has one.
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
