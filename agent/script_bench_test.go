package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/jq"
	"github.com/collectington/collectington/sources/compute/starlark"
)

const openByRules = `records_open: {type: gauge, items: ".data[]", value: .open, labels: {id: .id, team: .team.name, region: .team.region, stack: .stack}}`

const openByScript = `
def get_records_open():
    return [
        {"id": r["id"], "team": r["team"]["name"], "region": r["team"]["region"], "stack": r["stack"], "n": r["open"]}
        for r in get_data_from_store("records")["data"]
    ]
`

// BenchmarkScript measures one tick of 10,000 records with one labelled value each. The tick fetches, decodes and computes, and passes the
// result to the ledger. It computes with rules and with a script in turn, so that the ratio of the two does not depend on how the machine's
// speed drifts.
func BenchmarkScript(b *testing.B) {
	s := newBench(b)
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "open.star"), []byte(openByScript), 0o600); err != nil {
		b.Fatal(err)
	}
	build := func(c sources.Config[sources.Source]) (sources.Source, error) {
		return c.New(sources.Env{Web: s.host, Fetch: s.fetcher, Dir: dir})
	}
	byRules := configured(b, jq.Kind.Defaults(), openByRules, build)
	byScript := configured(b, starlark.Kind.Defaults(), "file: open.star\nmetrics: {records_open: {type: gauge, labels: [id, team, region, stack]}}", build)
	at := time.Now().Add(-time.Duration(b.N) * time.Second)
	tick := func(source sources.Source, book *ledger.Ledger) func() {
		return func() {
			readings, err := source.Collect(b.Context(), sources.Tick{Time: at})
			if err != nil || readings[0].Err != nil {
				b.Fatal(err, readings[0].Err)
			}
			if result, err := book.Apply(at, readings); err != nil || len(result.Families[0].Series) != records {
				b.Fatal(err)
			}
		}
	}
	ticks := []func(){tick(byRules, ledger.New(ledger.For(time.Hour), records)), tick(byScript, ledger.New(ledger.For(time.Hour), records))}
	stages := []*stage{{name: "rules"}, {name: "script"}}
	for first := true; b.Loop(); first = false {
		at = at.Add(time.Second)
		for i := range ticks {
			if first {
				ticks[i]() // the first tick creates what later ticks reuse
				at = at.Add(time.Second)
			}
			stages[i].measure(ticks[i])
		}
	}
	for _, st := range stages {
		b.ReportMetric(float64(st.took.Nanoseconds())/float64(b.N), st.name+"-ns/tick")
		b.ReportMetric(float64(st.bytes)/float64(b.N), st.name+"-B/tick")
	}
	b.ReportMetric(float64(stages[1].took)/float64(stages[0].took), "script-x-rules")
	b.ReportMetric(0, "ns/op")
}
