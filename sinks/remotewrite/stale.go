package remotewrite

import "github.com/collectington/collectington/agent/metric"

// end sends a staleness marker for every series of the batch before that this one does not have, and forgets it. A series
// with times of its own gets none, as in Prometheus: its last sample may well speak of the past.
func (j *job) end(at int64, r *registry, cut *cutter) {
	for _, u := range j.before {
		for _, s := range u.parts {
			if s.batch == j.batch {
				continue
			}
			s.batch = j.batch // two units may share it
			if !s.own && s.begun {
				cut.add(s.marker(at))
				cut.unit()
			}
			r.close(s)
		}
	}
	clear(j.before)
	if len(j.now) < len(j.units) {
		for key, u := range j.units {
			if u.batch != j.batch {
				delete(j.units, key)
			}
		}
	}
}

// marker is the staleness marker of a series, in order even if the clock was set back.
func (s *series) marker(at int64) sample {
	s.last = max(at, s.last+1)
	m := sample{series: s, time: s.last, value: stale()}
	if s.native {
		m.histogram = &metric.HistogramValue{Sum: stale(), Native: &metric.NativeBuckets{}}
	}
	return m
}
