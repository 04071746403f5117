package starlark

import (
	"context"
	"fmt"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/jq"
)

// ready is a fetcher that returns a decoded document.
type ready struct{ doc *sources.Document }

func (r ready) Fetch(context.Context, sources.Tick, sources.Request) (*sources.Document, error) {
	return r.doc, nil
}

// BenchmarkTick measures one value with labels of each of 10,000 records, by a script and by jq expressions.
func BenchmarkTick(b *testing.B) {
	text := []byte(`{"data":[`)
	for i := range 10_000 {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"id":"rec-%06d","team":{"name":"team-%02d","region":"eu-west-%d"},"stack":"%s","open":%d,"resolved":%d,"latency_seconds":%d.%06d,"extra":{"title":"Service check number %d","owner":"heidi","link":"https://tracker.example.test/%d","trace":"%016x","note":"none"}}`,
			i, i%50, i%6, []string{"prd", "sbx", "dev"}[i%3], (i*7)%500, i, i%3, (i*7919)%1000000, i, i, i*7919)
	}
	var p sources.Parser
	doc, err := p.JSON("GET bench", append(text, "]}"...))
	if err != nil {
		b.Fatal(err)
	}
	run := func(s sources.Source) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				readings, err := s.Collect(b.Context(), tickAt())
				if err != nil || readings[0].Err != nil || len(readings[0].Rows) != 10_000 {
					b.Fatal(err, readings[0].Err, len(readings[0].Rows))
				}
			}
		}
	}
	script, err := made(b, "metrics: {records_open: {type: gauge, labels: [id, team, region, stack]}}", `
def get_records_open():
    return [{"id": r["id"], "team": r["team"]["name"], "region": r["team"]["region"], "stack": r["stack"], "n": r["open"]} for r in fetch()["data"]]
`, nil)
	if err != nil {
		b.Fatal(err)
	}
	script.(*source).env.Fetch = ready{doc}
	c := jq.Kind.Defaults()
	if err := yaml.Load([]byte(`records_open: {type: gauge, items: ".data[]", value: .open, labels: {id: .id, team: .team.name, region: .team.region, stack: .stack}}`), c, yaml.WithKnownFields()); err != nil {
		b.Fatal(err)
	}
	byJQ, err := c.New(sources.Env{Fetch: ready{doc}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("script", run(script))
	b.Run("jq", run(byJQ))
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.JSON("GET bench", append(text, "]}"...)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
