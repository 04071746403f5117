package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/jq"
)

// computedRules are rules that measure the same records as recordsRules, but with computed expressions in place of mere paths.
const computedRules = `
records_open: {type: gauge, items: '.data[] | select(.open >= 0)', value: .open * 2 + 1, labels: &labels {id: .id, team: .team.name | ascii_downcase, region: '.team.region // "none"', stack: .stack}}
records_resolved: {type: gauge, items: '.data[] | select(.open >= 0)', value: (.resolved - .open) / 60, labels: *labels}
records_latency_seconds: {type: gauge, items: '.data[] | select(.open >= 0)', value: '.latency_seconds // 0', labels: *labels}
`

// BenchmarkRules measures only decoding and rules. Each round does a bare parse by fastjson and then our work, so that the ratio of the
// two does not depend on how the machine's speed drifts.
func BenchmarkRules(b *testing.B) {
	var docs [][]byte
	for n := range 4 {
		docs = append(docs, recordsDoc(n))
	}
	decoded := &ready{}
	source := func(text string) sources.Source {
		return configured(b, jq.Kind.Defaults(), text, func(c sources.Config[sources.Source]) (sources.Source, error) {
			return c.New(sources.Env{Fetch: decoded})
		})
	}
	var bare fastjson.Parser
	var parser sources.Parser
	collect := func(s sources.Source) {
		readings, err := s.Collect(context.Background(), sources.Tick{Time: time.Unix(1772366400, 0)})
		if err != nil || len(readings) != 3 || len(readings[2].Rows) != records {
			b.Fatal(err, len(readings))
		}
	}
	paths, computed := source(recordsRules), source(computedRules)
	var doc []byte
	stages := []struct {
		stage
		run func()
	}{
		{stage{name: "fastjson"}, func() {
			if _, err := bare.ParseBytes(doc); err != nil {
				b.Fatal(err)
			}
		}},
		{stage{name: "decode"}, func() {
			var err error
			if decoded.doc, err = parser.JSON("", doc); err != nil {
				b.Fatal(err)
			}
		}},
		{stage{name: "paths"}, func() { collect(paths) }},
		{stage{name: "computed"}, func() { collect(computed) }},
	}
	n := -3
	for n < 0 || b.Loop() {
		doc = docs[n&3]
		for i := range stages {
			if n < 0 {
				stages[i].run()
			} else {
				stages[i].measure(stages[i].run)
			}
		}
		n++
	}
	for _, s := range stages {
		b.ReportMetric(float64(s.took.Nanoseconds())/float64(n)/samples, s.name+"-ns/reading")
		b.ReportMetric(float64(s.took)/float64(stages[0].took), s.name+"-x-fastjson")
		b.ReportMetric(float64(s.bytes)/float64(n)/samples, s.name+"-B/reading")
	}
	b.ReportMetric(0, "ns/op")
}
