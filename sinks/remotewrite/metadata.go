package remotewrite

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// metadataEvery is how often protocol 1.0 tells a family's type, help and unit: Prometheus' own interval. They travel with
// the first samples of the family after that. Protocol 2.0 tells them with every series.
const metadataEvery = time.Minute

// metadata remembers when which family has been told.
type metadata struct {
	told map[*metric.Desc]time.Time
	due  []*metric.Desc
}

// dueFor lists the families of the samples that are to be told. The list is valid until the next call.
func (m *metadata) dueFor(samples []sample, now time.Time) []*metric.Desc {
	m.due = m.due[:0]
	var last *metric.Desc
	for i := range samples {
		d := samples[i].series.desc
		if d == last {
			continue
		}
		last = d
		if at, told := m.told[d]; (!told || now.Sub(at) >= metadataEvery) && !slices.Contains(m.due, d) {
			m.due = append(m.due, d)
		}
	}
	return m.due
}

// delivered notes that the families listed last have arrived, and forgets those that have not been due for long.
func (m *metadata) delivered(now time.Time) {
	if len(m.due) == 0 {
		return
	}
	if m.told == nil {
		m.told = map[*metric.Desc]time.Time{}
	}
	for _, d := range m.due {
		m.told[d] = now
	}
	m.due = m.due[:0]
	for d, at := range m.told {
		if now.Sub(at) > 10*metadataEvery {
			delete(m.told, d)
		}
	}
}
