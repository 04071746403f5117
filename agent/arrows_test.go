package agent_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/collectington/collectington/"

// arrows says which folder may import which of ours. A pattern with * stands for a folder of a kind.
func arrows() map[string][]string {
	plugIn := func(contract string) []string {
		return []string{contract, "agent/metric", "agent/relabel", "agent/setting", "agent/web"}
	}
	return map[string][]string{
		"agent":          {"agent/command", "agent/config", "sources", "sinks", "sources/*", "sinks/*"},
		"agent/cton":     {"agent"},
		"agent/command":  {"agent/auth", "agent/backfill", "agent/config", "agent/legacy", "agent/run", "agent/status", "agent/ledger", "agent/metric", "agent/schedule", "agent/setting", "agent/state", "agent/web", "agent/demo", "agent/rehearse", "sources", "sinks", "sinks/remotewrite/spool", "deploy/examples"},
		"agent/auth":     {"agent/document", "agent/jq", "agent/setting", "agent/web"},
		"agent/config":   {"agent/auth", "sources", "sinks", "agent/schedule", "agent/setting"},
		"agent/legacy":   {"agent/config", "agent/setting"},
		"agent/run":      {"sources", "sinks", "agent/schedule", "agent/ledger", "agent/metric", "agent/state"},
		"agent/backfill": {"sources", "sinks", "agent/ledger", "agent/metric", "agent/run", "agent/web"},
		"agent/status":   {"agent/run", "agent/metric"},
		"agent/ledger":   {"agent/metric"},
		"agent/web":      {"agent/setting"},
		"sources":        {"agent/document", "agent/metric", "agent/setting", "agent/web"},
		"sinks":          {"agent/metric", "agent/web"},
		"sources/*":      append(plugIn("sources"), "agent/document", "agent/jq", "sources/format", "sources/template"),
		"sinks/*":        plugIn("sinks"),

		"sources/template": {"sources", "agent/setting"},

		"sinks/remotewrite":       append(plugIn("sinks"), "sinks/remotewrite/spool", "sinks/remotewrite/wire"),
		"sinks/remotewrite/wire":  {"agent/metric"},
		"sinks/remotewrite/spool": {"agent/lock"},

		"agent/document": {},
		"agent/jq":       {},
		"agent/metric":   {},
		"agent/relabel":  {"agent/setting"},
		"agent/setting":  {},
		"agent/schedule": {},
		"agent/lock":     {},
		"agent/state":    {"agent/lock"},
		"agent/demo":     {},
		"agent/rehearse": {"agent/setting"},

		"deploy/examples": {},

		"deploy/examples/oncall":         {}, // tests alone
		"deploy/examples/oncall/fakeapi": {},
		"sources/http/fakeapi":           {}, // tests alone

		"sources/format":     {"sources", "agent/document", "agent/setting"},
		"agent/web/webtest":  {"agent/web"},
		"sources/sourcetest": append(plugIn("sources"), "agent/web/webtest"),
		"sinks/sinktest":     append(plugIn("sinks"), "agent/web/webtest"),
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rule is the entry of arrows for a folder: its own, or that of its kind.
func rule(folder string) ([]string, bool) {
	all := arrows()
	if allowed, ok := all[folder]; ok {
		return allowed, true
	}
	allowed, ok := all[path.Dir(folder)+"/*"]
	return allowed, ok
}

func TestArrows(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		folder, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		allowed, ok := rule(folder)
		if !ok {
			t.Errorf("%s stands in no arrow: say in arrows what it may import", folder)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			checked++
			if !slices.Contains(allowed, to) && !slices.Contains(allowed, path.Dir(to)+"/*") {
				t.Errorf("%s imports %s, which no arrow allows", folder, to)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d imports were checked: is the list of packages whole?", checked)
	}
}
