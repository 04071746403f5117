package exposition

import (
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Config:   func(*testing.T) sources.Config[sources.Source] { return Kind.Defaults() },
		PassesOn: true,
		Documents: []string{
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 12\nload 0.5\n",
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 13\njobs_total{queue=\"é\"} 1\nload 2\n",
		},
	})
}
