package exampletest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/sources"
)

// TestFolders checks that every example passes cton check, and that its tests pass.
func TestFolders(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			for _, file := range files(t, folder, "*.yaml") {
				cton(t, "check", "-c", file)
			}
			main := filepath.Join(folder, "cton.yaml")
			if _, err := os.Stat(main); err != nil {
				main = filepath.Join(folder, "config.json") // a file of the Python program; cton check would need the secrets of its user
			}
			tests := files(t, folder, "*.txtar")
			if len(tests) == 0 {
				t.Fatal("there is no test of it: write down what its API answers, as cton explain test shows")
			}
			touch(t, files(t, folder, "textfile/*.prom"))
			cton(t, append([]string{"test", "-c", main}, tests...)...)
		})
	}
}

// touch sets the modification time of files to a fixed time. Some examples measure this time, and a checkout of the repository does not
// keep it.
func touch(t *testing.T, files []string) {
	t.Helper()
	for _, file := range files {
		at := time.Date(2026, 3, 1, 11, 58, 0, 0, time.UTC)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQueries checks the queries in the first lines of each example: they are valid, and the example measures every metric that they
// name.
func TestQueries(t *testing.T) {
	for _, file := range files(t, "*", "cton.yaml") {
		t.Run(filepath.Dir(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			measured := declared(t, file, text)
			given := queries(string(text))
			if len(given) == 0 {
				t.Error("its first lines give no query")
			}
			for _, query := range given {
				expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
				if err != nil {
					t.Errorf("%s: %v", query, err)
					continue
				}
				for _, selector := range parser.ExtractSelectors(expr) {
					for _, m := range selector {
						if m.Name == "__name__" && !slices.Contains(measured, m.Value) {
							t.Errorf("%s: %s is not measured", query, m.Value)
						}
					}
				}
			}
		})
	}
}

// queries returns the queries in a leading comment: the line with "Gives:", and the lines after it that are indented in the same
// way.
func queries(text string) (all []string) {
	line := regexp.MustCompile(`^#(?: Gives:  | {10}) (.+)$`)
	giving := false
	for comment := range strings.Lines(text) {
		giving = giving || strings.HasPrefix(comment, "# Gives:")
		parts := line.FindStringSubmatch(strings.TrimSpace(comment))
		switch {
		case giving && parts == nil:
			return all
		case giving:
			all = append(all, parts[1])
		}
	}
	return all
}

// declared returns the names of the series that a configuration measures. If a job's metrics are known only from its data, it
// returns the names that the tests of the example expect.
func declared(t *testing.T, file string, text []byte) (all []string) {
	t.Helper()
	plan, err := config.Load(file, text, agent.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range plan.Jobs {
		declarer, ok := job.SourceConfig.(sources.Declarer)
		if !ok {
			return tested(t, filepath.Dir(file))
		}
		for _, d := range declarer.Declares() {
			all = append(all, d.Name, d.Name+"_bucket", d.Name+"_sum", d.Name+"_count")
		}
	}
	return all
}

// tested returns the names of the metrics that the tests of an example expect.
func tested(t *testing.T, folder string) (all []string) {
	t.Helper()
	for _, file := range files(t, folder, "*.txtar") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllSubmatch(text, -1) {
			all = append(all, string(found[1]))
		}
	}
	return all
}

// folders returns the folders of those examples that have a configuration.
func folders(t *testing.T) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(entry.Name(), "go.mod")); err == nil {
			continue // the example is a program
		}
		if entry.Name() == "batch" {
			continue // the folder has no configurations: deploy/e2e runs its examples
		}
		if entry.IsDir() {
			all = append(all, entry.Name())
		}
	}
	return all
}

func files(t *testing.T, folder, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// cton runs a command line. The test fails if the exit code is not 0.
func cton(t *testing.T, args ...string) {
	t.Helper()
	var out bytes.Buffer
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), Out: &out, Err: &out}
	if code := app.Main(t.Context(), args); code != 0 {
		t.Errorf("cton %s: exit code %d\n%s", strings.Join(args, " "), code, &out)
	}
}
