package receive

import (
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	servers := map[sources.Source]*running{}
	sourcetest.Run(t, sourcetest.Subject{
		Config: func(*testing.T) sources.Config[sources.Source] {
			c := defaults()
			c.Listen = "127.0.0.1:0"
			return c
		},
		PassesOn: true,
		Varying:  []string{"push_time_seconds", "push_failure_time_seconds"},
		Push: func(t *testing.T, s sources.Source, document string) {
			if servers[s] == nil {
				servers[s] = run(t, s.(*source))
			}
			servers[s].ask(t, "PUT", "/metrics/job/a", document) // hostile documents are refused
		},
		Documents: []string{
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 12\nload 0.5\n",
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 13\njobs_total{queue=\"é\"} 1\nload 2\n",
		},
	})
}
