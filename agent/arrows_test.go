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

// arrows returns, for each folder of this module, which other folders of this module this folder is allowed to import. A pattern with *
// stands for the folders of all kinds of fetchers, sources or sinks.
func arrows() map[string][]string {
	kit := []string{"agent/clock", "agent/digest", "agent/document", "agent/durable", "agent/httpclient", "agent/jq", "agent/metric", "agent/pattern", "agent/process", "agent/relabel", "agent/setting", "agent/text", "agent/webserver"}
	source := func(more ...string) []string { return slices.Concat(kit, []string{"sources"}, more) }
	sink := func(more ...string) []string { return slices.Concat(kit, []string{"sinks"}, more) }
	return map[string][]string{
		// The public kit: what plug-ins are made of.
		"agent/clock":             {},
		"agent/clock/clocktest":   {"agent/clock"}, // for tests
		"agent/digest":            {"agent/setting"},
		"agent/document":          {},
		"agent/durable":           {},
		"agent/durable/disktest":  {"agent/durable"}, // for tests
		"agent/httpclient":        {"agent/clock", "agent/durable", "agent/pattern", "agent/setting", "agent/text"},
		"agent/httpclient/memnet": {"agent/httpclient"}, // for tests
		"agent/jq":                {"agent/pattern"},
		"agent/metric":            {},
		"agent/pattern":           {},
		"agent/process":           {},
		"agent/relabel":           {"agent/setting"},
		"agent/setting":           {"agent/pattern"},
		"agent/text":              {},
		"agent/webserver":         {"agent/text"},

		// Sources.
		"sources":                          kit,
		"sources/fetch/*":                  source("sources/discovery", "sources/fetch/format", "sources/fetch/template", "sources/targets"),
		"sources/fetch/format":             {"sources", "agent/document", "agent/pattern", "agent/setting", "agent/text"},
		"sources/fetch/template":           {"sources", "agent/setting"},
		"sources/fetch/http/fakeapi":       {}, // for tests
		"sources/compute/*":                source(),
		"sources/compute/starlark":         source("sources/compute/starlark/sandbox"),
		"sources/compute/exposition":       source("sources/scrape/exposition", "sources/targets"),
		"sources/compute/starlark/sandbox": {},
		"sources/native":                   {"agent/metric", "agent/text"},
		"sources/receive":                  source("sources/receive/groups", "sources/receive/samples"),
		"sources/receive/groups":           {"agent/durable", "agent/metric", "agent/text", "sources/native", "sources/receive/protobuf"},
		"sources/receive/samples":          {"agent/metric", "agent/text", "sources/native", "sources/receive/protobuf"},
		"sources/receive/protobuf":         {},
		"sources/discovery":                {"agent/httpclient", "agent/setting", "agent/text", "sources"},
		"sources/scrape":                   source("sources/discovery", "sources/scrape/exposition", "sources/targets"),
		"sources/targets":                  {"agent/httpclient", "agent/metric", "sources"},
		"sources/scrape/exposition":        {"agent/metric", "agent/text", "sources/native"},
		"sources/scrape/scrapetest":        {},                                // for tests
		"sources/sourcetest":               source("agent/httpclient/memnet"), // for tests

		// Sinks.
		"sinks":                     kit,
		"sinks/*":                   sink(),
		"sinks/remotewrite":         sink("sinks/remotewrite/encode", "sinks/remotewrite/deliver", "sinks/remotewrite/spool", "sinks/remotewrite/wire"),
		"sinks/remotewrite/encode":  {"agent/clock", "agent/metric", "sinks", "sinks/remotewrite/spool", "sinks/remotewrite/wire"},
		"sinks/remotewrite/deliver": {"agent/clock", "agent/httpclient", "agent/metric", "agent/setting", "agent/text", "sinks", "sinks/remotewrite/spool", "sinks/remotewrite/wire"},
		"sinks/remotewrite/wire":    {"agent/metric"},
		"sinks/remotewrite/spool":   {"agent/clock", "agent/durable"},
		"sinks/sinktest":            sink("agent/httpclient/memnet"), // for tests
		"sinks/sinktest/peers":      {},                              // for tests

		// The program.
		"agent":                          {"agent/internal/command", "agent/internal/config", "agent/process", "sources", "sinks", "sources/fetch/*", "sources/compute/*", "sources/*", "sinks/*"},
		"agent/cton":                     {"agent"},
		"agent/internal/auth":            {"agent/digest", "agent/document", "agent/durable", "agent/httpclient", "agent/jq", "agent/pattern", "agent/setting", "sources", "sources/fetch/format", "sources/targets"},
		"agent/internal/backfill":        {"agent/httpclient", "agent/internal/ledger", "agent/internal/run", "agent/metric", "sinks", "sources"},
		"agent/internal/command":         slices.Concat(kit, []string{"agent/internal/*", "sinks", "sources", "sinks/remotewrite/spool", "sources/fetch/format", "sources/targets", "deploy/examples"}),
		"agent/internal/config":          {"agent/webserver", "agent/httpclient", "agent/internal/auth", "agent/internal/schedule", "agent/internal/shard", "agent/metric", "agent/pattern", "agent/setting", "agent/text", "sinks", "sources", "sources/targets"},
		"agent/internal/convert":         {"agent/internal/config", "agent/jq", "agent/pattern", "agent/relabel", "agent/setting"},
		"agent/internal/demo":            {},
		"agent/internal/infer":           {"agent/document", "agent/httpclient", "agent/jq", "agent/pattern", "agent/setting", "sources", "sources/fetch/format"},
		"agent/internal/jobtest":         {"agent/internal/run", "agent/metric", "agent/setting", "agent/text", "sources/targets"},
		"agent/internal/ledger":          {"agent/metric"},
		"agent/internal/lease":           {"agent/clock", "agent/httpclient", "agent/setting"},
		"agent/internal/lease/leasetest": {}, // for tests
		"agent/internal/legacy":          {"agent/internal/config", "agent/setting"},
		"agent/internal/mutants":         {},
		"agent/internal/notify":          {},
		"agent/internal/run":             {"agent/clock", "agent/httpclient", "agent/internal/config", "agent/internal/lease", "agent/internal/ledger", "agent/internal/schedule", "agent/internal/shard", "agent/internal/state", "agent/metric", "agent/text", "sinks", "sources"},
		"agent/internal/runtimemetrics":  {"agent/metric"},
		"agent/internal/schedule":        {},
		"agent/internal/selfmetrics":     {"agent/internal/run", "agent/internal/shard", "agent/metric"},
		"agent/internal/shard":           {},
		"agent/internal/state":           {"agent/durable"},
		"agent/internal/statuspage":      {"agent/document", "agent/httpclient", "agent/internal/config", "agent/internal/run", "agent/metric", "agent/text", "sinks", "sources"},
		"agent/internal/wrap":            {"agent/durable", "agent/metric", "agent/process", "agent/setting", "sources/scrape/exposition"},

		"agent/internal/exampletest":        {}, // tests alone
		"agent/internal/exampletest/oncall": {}, // tests alone
		"agent/internal/exampletest/plugin": {}, // tests alone

		"deploy/compare":                 {}, // a program of its own
		"deploy/examples":                {},
		"deploy/examples/oncall/fakeapi": {}, // for tests
	}
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...").Output()
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

// rule returns the entry of arrows for a folder: its own entry, or else that of a pattern with *. It returns false if there is none.
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

// side returns the part of the tree that a folder is in: sources, sinks, kit or program.
func side(folder string) string {
	switch top, _, _ := strings.Cut(folder, "/"); {
	case top == "sources", top == "sinks":
		return top
	case folder == "agent", folder == "agent/cton", strings.HasPrefix(folder, "agent/internal/"):
		return "program"
	case top == "agent":
		return "kit"
	}
	return "deploy"
}

// TestArrowsOfTests checks that tests stay on their side. Tests of sources import neither sinks nor the program. Tests of sinks import
// neither sources nor the program. Tests of the kit import nothing but the kit. A test that needs sources and sinks belongs to the program.
func TestArrowsOfTests(t *testing.T) {
	allowed := map[string][]string{"sources": {"sources", "kit"}, "sinks": {"sinks", "kit"}, "kit": {"kit"}}
	checked := 0
	for _, p := range packages(t) {
		folder, _ := strings.CutPrefix(p.ImportPath, module)
		from := side(folder)
		if allowed[from] == nil {
			continue
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			checked++
			if !slices.Contains(allowed[from], side(to)) {
				t.Errorf("a test of %s imports %s, which is not on its side", folder, to)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d imports of tests were checked: is the list of packages whole?", checked)
	}
}
