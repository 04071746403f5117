// Package plugin tests the example of kinds that are not in the tree: deploy/examples/plugin.
package plugin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository and example are paths from the folder of this package.
const (
	repository = "../../../.."
	example    = repository + "/deploy/examples/plugin"
)

const config = `
sinks:
  files: {textfile: {directory: .}}
jobs:
  pool:
    schedule: "@every 60s"
    environment: {variables: [POOL_SIZE]}
    metrics:
      pool_size: {type: gauge, value: .POOL_SIZE | tonumber}
`

// TestPlugin checks that the example can be built as a module of its own, outside the tree, and that its tests and its
// program work.
func TestPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := module(t)
	execute(t, dir, 0, "go", "build", "-mod=mod", "-o", "cton", ".")

	suites := execute(t, dir, 0, "go", "test", "-mod=mod", "-v", "./database", "./environment", "./textfile")
	for _, name := range []string{"leaves_no_trace_of_a_failed_fetch", "replaces_the_previous_batch"} {
		if !strings.Contains(suites, "--- PASS: TestSuite/"+name) {
			t.Errorf("the suites have not run %s:\n%s", name, suites)
		}
	}

	kinds := execute(t, dir, 0, "./cton", "explain")
	for _, kind := range []string{"database", "environment", "textfile"} {
		first, _, _ := strings.Cut(read(t, filepath.Join(example, kind, "example.yaml")), "\n")
		if want := fmt.Sprintf("\n%-14s %s\n", kind, strings.TrimPrefix(first, "# ")); !strings.Contains(kinds, want) {
			t.Errorf("cton explain does not show %q:\n%s", want, kinds)
		}
		if got, want := execute(t, dir, 0, "./cton", "explain", kind), read(t, filepath.Join(example, kind, "example.yaml")); got != want {
			t.Errorf("cton explain %s shows\n%swant\n%s", kind, got, want)
		}
	}

	write(t, filepath.Join(dir, "cton.yaml"), config)
	if got, want := execute(t, dir, 0, "./cton", "check"), "cton.yaml: 1 job, 1 sink\n"; got != want {
		t.Errorf("cton check shows %q, want %q", got, want)
	}
	write(t, filepath.Join(dir, "wrong.yaml"), strings.ReplaceAll(config, "{variables: [POOL_SIZE]}", "{}"))
	if got := execute(t, dir, 1, "./cton", "check", "-c", "wrong.yaml"); !strings.HasPrefix(got, "wrong.yaml:7:5: jobs.pool.environment.variables: is required: ") {
		t.Errorf("cton check of settings that are not valid shows %q", got)
	}
	t.Setenv("POOL_SIZE", "12")
	execute(t, dir, 0, "./cton", "once")
	if got, want := read(t, filepath.Join(dir, "pool.prom")), "# TYPE pool_size gauge\npool_size 12\n"; got != want {
		t.Errorf("cton once writes %q, want %q", got, want)
	}
}

// TestTutorial checks that the package comments of sources and sinks show the code of the example.
func TestTutorial(t *testing.T) {
	for comment, code := range map[string]string{
		"sources/doc.go": "environment/environment.go",
		"sinks/doc.go":   "textfile/textfile.go",
	} {
		var shown strings.Builder
		for line := range strings.Lines(read(t, filepath.Join(repository, comment))) {
			if text, ok := strings.CutPrefix(line, "//\t"); ok {
				shown.WriteString(text)
			} else if line == "//\n" {
				shown.WriteString("\n")
			}
		}
		_, want, _ := strings.Cut(read(t, filepath.Join(example, code)), "\n") // without the package comment
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%s does not show %s as it is", comment, code)
		}
	}
}

// module copies the example to a new folder, as a module that uses this tree.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	tree, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), read(t, filepath.Join(example, "go.mod"))+"\nreplace github.com/collectington/collectington => "+tree+"\n")
	write(t, filepath.Join(dir, "go.sum"), read(t, filepath.Join(repository, "go.sum")))
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute runs a program in a folder and returns its output. The program must exit with the given code. The go command
// must not use the network.
func execute(t *testing.T, dir string, code int, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := c.CombinedOutput()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	if got != code {
		t.Fatalf("%s: exit code %d, want %d\n%s", c, got, code, out)
	}
	return string(out)
}
