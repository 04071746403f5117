package command_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTryShortens checks that try shows the beginning of a large document and of many readings, and how much more there is.
func TestTryShortens(t *testing.T) {
	file := write(t, "cton.yaml", `
sinks: {out: {print: {}}}
jobs:
  api:
    schedule: "@every 10s"
    file: {path: data.json}
    metrics:
      item: {type: gauge, items: ".[]", value: .n, labels: {name: .name}}
`)
	var items []string
	for i := range 25 {
		items = append(items, fmt.Sprintf(`{"name": "item-%02d%s", "n": %d}`, i, strings.Repeat("é", 40), i))
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "data.json"), []byte("["+strings.Join(items, ",")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	if code := faultyApp(&out, &log, nil).Main(t.Context(), []string{"try", "api", "-c", file}); code != 0 {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
	contains(t, "the output", out.String(), "== document\n[\n", "\n… ", " more bytes; --document shows all, -e JQ a part\n== readings\nitem: 25 readings\n", `{name="item-19`, "\n  … 5 more\n== ledger before\n", `item{name="item-24`)
	if _, readings, _ := strings.Cut(out.String(), "== readings"); strings.Contains(strings.Split(readings, "== ")[0], "item-20") {
		t.Errorf("more than 20 readings are shown:\n%s", readings)
	}
	if strings.ContainsRune(out.String(), '\uFFFD') {
		t.Error("the document is cut within a character")
	}
}
