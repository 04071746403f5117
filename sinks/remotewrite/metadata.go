package remotewrite

import (
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// metadataEvery is how often protocol 1.0 tells a family's type, help and unit: Prometheus' own interval. They travel with
// the first samples of the family after that. Protocol 2.0 tells them with every series.
const metadataEvery = time.Minute

// metadata remembers when which family has been told.
type metadata struct {
	told map[*metric.Desc]time.Time
	last *metric.Desc // asked for last, at that time
	at   time.Time

	swept time.Time
}

// due tells whether a family is to be told now, and notes that it has been.
func (m *metadata) due(d *metric.Desc, now time.Time) bool {
	if d == m.last && now.Equal(m.at) {
		return false
	}
	m.last, m.at = d, now
	if at, told := m.told[d]; told && now.Sub(at) < metadataEvery {
		return false
	}
	if m.told == nil {
		m.told = map[*metric.Desc]time.Time{}
	}
	m.told[d] = now
	m.forget(now)
	return true
}

// forget drops, now and then, what has not been told for long: the descriptions of a plan that was reloaded.
func (m *metadata) forget(now time.Time) {
	if now.Sub(m.swept) < 10*metadataEvery {
		return
	}
	m.swept = now
	for d, at := range m.told {
		if now.Sub(at) > 10*metadataEvery {
			delete(m.told, d)
		}
	}
}
