package starlark

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	dir := t.TempDir()
	script := `
def get_calls():
    return int(fetch()["total"])

def get_load():
    print(fetch("/hosts", params = {"page": 1}))
    return [{"host": h["name"], "load": h["load"] * 2.0} for h in fetch()["hosts"]]

def get_took():
    return [{"id": r["id"], "took": r["took"]} for r in fetch()["runs"]]
`
	if err := os.WriteFile(filepath.Join(dir, "test.star"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	sourcetest.Run(t, sourcetest.Subject{
		Dir: dir,
		Config: func(t *testing.T) sources.Config[sources.Source] {
			return configOf(t, `
metrics:
  calls_total: {type: counter}
  load: {type: gauge, labels: [host]}
  took: {type: summary, once_by: id}`)
		},
		Documents: []string{
			`{"total": 7, "hosts": [{"name": "a", "load": 1}, {"name": "b", "load": 2.5}], "runs": [{"id": "r1", "took": 3}]}`,
			`{"total": 9, "hosts": [{"name": "é", "load": 3}], "runs": [{"id": "r2", "took": 4.5}, {"id": "r1", "took": 3}]}`,
		},
		Partial: `{"total": {}, "hosts": [{"name": "a", "load": 1}], "runs": [{"id": "r1", "took": 3}]}`,
		Failing: "calls_total",
	})
}
