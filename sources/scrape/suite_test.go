package scrape

import (
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Config: func(t *testing.T) sources.Config[sources.Source] {
			c := Kind.Defaults().(*Config)
			c.Targets = addresses(t, "a.example:9100")
			c.Authorization = &httpclient.Authorization{Credentials: "env:KEY"}
			return c
		},
		ContentType: "text/plain; version=0.0.4",
		PassesOn:    true,
		Varying:     []string{"scrape_duration_seconds", "scrape_series_added"},
		Documents: []string{
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 12\nload 0.5\n",
			"# TYPE jobs_total counter\njobs_total{queue=\"a\"} 13\njobs_total{queue=\"é\"} 1\nload 2\n",
		},
	})
}
