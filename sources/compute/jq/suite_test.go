package jq

import (
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Config: func(t *testing.T) sources.Config[sources.Source] {
			return configOf(t, `
calls_total: {type: counter, value: .total}
load: {type: gauge, items: ".hosts[]", value: .load * 2, labels: {host: .name}}
state: {type: gauge, items: ".hosts[]", value: .state, labels: {host: .name}, map: {up: 1}, default: 0}
took_seconds: {type: histogram, items: ".runs[] | select(.end)", once_by: .id, value: (.end | fromdate) - (.start | fromdate)}`)
		},
		Documents: []string{
			`{"total": 7, "hosts": [{"name": "a", "load": 1, "state": "up"}, {"name": "b", "load": 2.5, "state": "down"}],
				"runs": [{"id": "r1", "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:01:00Z"}]}`,
			`{"total": 9, "hosts": [{"name": "é", "load": 3, "state": "up"}],
				"runs": [{"id": 12345678901234567890, "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:01:00Z"}, {"id": "r3"}]}`,
		},
		Partial: `{"total": {}, "hosts": [{"name": "a", "load": 1, "state": "up"}],
			"runs": [{"id": "r1", "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:01:00Z"}]}`,
		Failing: "calls_total",
	})
}
