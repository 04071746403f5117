package receive

import (
	"sync"
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	var mu sync.Mutex
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
			mu.Lock()
			r := servers[s]
			if r == nil {
				r = run(t, s.(*source))
				servers[s] = r
			}
			mu.Unlock()
			r.ask(t, "PUT", "/metrics/job/a", document) // hostile documents are refused
		},
		Documents: []string{
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 12\nload 0.5\n",
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 13\njobs_total{queue=\"é\"} 1\nload 2\n",
		},
	})
}
