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

// TestFolders checks every example, and runs its tests as its users do.
func TestFolders(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			for _, file := range files(t, folder, "*.yaml") {
				cton(t, "check", "-c", file)
			}
			main := filepath.Join(folder, "cton.yaml")
			if _, err := os.Stat(main); err != nil {
				main = filepath.Join(folder, "config.json") // of one who comes from Python; its check wants his secrets
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

// touch sets the time of files whose time is measured, since a checkout does not keep it.
func touch(t *testing.T, files []string) {
	t.Helper()
	for _, file := range files {
		at := time.Date(2026, 3, 1, 11, 58, 0, 0, time.UTC)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQueries parses the queries that each example gives in its first lines. All that they ask for has to be measured.
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

// queries are the lines of a leading comment from "Gives:" on, until it goes on about something else.
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

// declared are the names of the series that a configuration measures. Those of files that are passed on whole are what the example's
// tests expect.
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

// tested are the names of the metrics that the tests of an example expect.
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

// folders are the examples that have one of their own.
func folders(t *testing.T) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(entry.Name(), "go.mod")); err == nil {
			continue // a program
		}
		if entry.Name() == "batch" {
			continue // no configurations: deploy/e2e runs them
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

// cton runs a command that has to succeed.
func cton(t *testing.T, args ...string) {
	t.Helper()
	var out bytes.Buffer
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), Out: &out, Err: &out}
	if code := app.Main(t.Context(), args); code != 0 {
		t.Errorf("cton %s: exit code %d\n%s", strings.Join(args, " "), code, &out)
	}
}
