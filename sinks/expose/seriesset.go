package expose

import "github.com/collectington/collectington/agent/metric"

// seriesSet remembers which series were seen.
type seriesSet struct {
	seen map[string]struct{}
	key  []byte
}

// fresh are the part's series that the set has not seen; apart, those of other jobs are other series.
func (s *seriesSet) fresh(p *part, apart bool) []metric.Series {
	kept := make([]metric.Series, 0, len(p.Series))
	for i := range p.Series {
		s.key = s.key[:0]
		if apart {
			s.add(p.job)
		}
		if set := p.Series[i].Labels; set != nil {
			for l := range set.All() {
				s.add(l.Name)
				s.add(l.Value)
			}
		}
		if s.take() {
			kept = append(kept, p.Series[i])
		}
	}
	return kept
}

// add appends to the key a text and a byte that no UTF-8 has.
func (s *seriesSet) add(text string) { s.key = append(append(s.key, text...), 0xff) }

// take tells whether the key is new, and remembers it.
func (s *seriesSet) take() bool {
	if _, known := s.seen[string(s.key)]; known {
		return false
	}
	if s.seen == nil {
		s.seen = map[string]struct{}{}
	}
	s.seen[string(s.key)] = struct{}{}
	return true
}
