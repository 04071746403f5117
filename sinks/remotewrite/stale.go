package remotewrite

import "github.com/collectington/collectington/agent/metric"

// end ends every series of the batch before that this one does not have with a staleness marker, and forgets it. A series
// with times of its own gets none, as in Prometheus: its last sample may well speak of the past.
func (j *job) end(at int64, r *registry, t *tick) {
	for _, u := range j.before {
		from := len(t.samples)
		for _, s := range u.parts {
			if s == nil || s.batch == j.batch || s.closed {
				continue
			}
			s.batch = j.batch // two units may share it
			if !s.own && s.begun {
				t.samples = append(t.samples, s.marker(at))
			}
			r.close(s)
		}
		if len(t.samples) > from {
			t.more = append(t.more, extra{u, t.stretch(from)})
		}
	}
	clear(j.before)
	if !j.asked {
		j.units = nil
	}
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
