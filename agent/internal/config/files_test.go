//go:build unix

package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/config"
)

// folder writes files into a new folder and returns its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read reads and checks the configuration at some paths.
func read(paths ...string) (*config.Plan, error) {
	f, err := config.Read(paths, strings.NewReader(""))
	if err != nil {
		return nil, err
	}
	return f.Plan(f.Root, agent.Catalogue(), nil)
}

const job = "  %s: {schedule: \"@every 60s\", http: {url: \"https://a.example.com\"}, metrics: {%s: {type: gauge, value: .n}}}\n"

// TestManyJobs checks that 300 jobs in 40 files are read. It also checks that a mistake in one of them is the only problem, and that the
// problem is at the place of the mistake.
func TestManyJobs(t *testing.T) {
	files := map[string]string{"base.yaml": "sinks: {page: {expose: {}}}\ndefaults: {timeout: 5s, labels: {team: ops}}\n"}
	for i := range 300 {
		name, id := fmt.Sprintf("jobs-%02d.yaml", i%39), fmt.Sprintf("job_%03d", i)
		if files[name] == "" {
			files[name] = "jobs:\n"
		}
		files[name] += fmt.Sprintf(job, id, id)
	}
	dir := folder(t, files)
	plan, err := read(dir)
	if err != nil || len(plan.Jobs) != 300 || len(plan.Files()) != 40 {
		t.Fatalf("%v: %v", plan, err)
	}
	for _, j := range plan.Jobs {
		if time.Duration(j.Timeout) != 5*time.Second || j.Labels["team"] != "ops" {
			t.Fatalf("job %s lacks a default: %+v", j.Name, j.JobSettings)
		}
	}
	broken := filepath.Join(dir, "jobs-17.yaml")
	text := strings.Replace(files["jobs-17.yaml"], "job_056: {schedule: \"@every 60s\"", "job_056: {schedule: \"@every 60x\"", 1)
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = read(dir)
	if problems, ok := errors.AsType[config.Problems](err); !ok || len(problems) != 1 || !strings.HasPrefix(problems[0].Brief(), broken+":3:23: jobs.job_056.schedule: ") {
		t.Errorf("the problems are %v", err)
	}
}

// TestLinks checks links as Kubernetes makes them for a ConfigMap: each file is read once, by the name that it has in the folder.
func TestLinks(t *testing.T) {
	dir := folder(t, map[string]string{
		"..v1/cton.yaml": "sinks: {page: {expose: {}}}\njobs:\n" + fmt.Sprintf(job, "a", "a"),
		"..v1/b.yaml":    "jobs: {b: {schedule: \"@every 60s\", script: {file: b.star, metrics: {b: {type: gauge}}}}}\n",
		"base/cton.yaml": "include: [../*.yaml, ../..data/*.yaml]\n",
	})
	for link, target := range map[string]string{"..data": "..v1", "cton.yaml": "..data/cton.yaml", "b.yaml": "..data/b.yaml"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := read(dir)
	if err != nil || len(plan.Jobs) != 2 || len(plan.Files()) != 2 {
		t.Errorf("the folder: %v", err)
	}
	plan, err = read(filepath.Join(dir, "base", "cton.yaml"))
	if err != nil || len(plan.Files()) != 3 {
		t.Fatalf("the include: %v", err)
	}
	if text, err := plan.YAML(); err != nil || !strings.Contains(string(text), "file: "+filepath.Join(dir, "b.star")) {
		t.Errorf("the script is not that beside its file: %v\n%s", err, text)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "x.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := read(dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "x.yaml") {
		t.Errorf("a link to nowhere: %v", err)
	}
}

// TestHostileFiles checks two kinds of files: files that cannot be read, and files that exceed the limits. They must soon give an error,
// and the error must be one line of valid text.
func TestHostileFiles(t *testing.T) {
	base := "sinks: {page: {expose: {}}}\njobs:\n" + fmt.Sprintf(job, "a", "a")
	for name, c := range map[string]struct {
		files   map[string]string
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"a pipe in the folder": {map[string]string{"a.yaml": base}, func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "b.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "b.yaml is not a regular file"},
		"a pipe that is included": {map[string]string{"a.yaml": base + "include: [pipe]\n"}, func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "pipe is not a regular file"},
		"a device":               {map[string]string{"a.yaml": base + "include: [/dev/zero]\n"}, nil, "/dev/zero is not a regular file"},
		"a large file":           {map[string]string{"a.yaml": base, "b.yaml": strings.Repeat("# a comment\n", 400_000)}, nil, "b.yaml is larger than 4MiB"},
		"all depths":             {map[string]string{"a.yaml": base + "include: [\"sub/**/*.yaml\"]\n", "sub/b.yaml": ""}, nil, "** is not supported"},
		"a folder":               {map[string]string{"a.yaml": base + "include: [sub]\n", "sub/b": ""}, nil, "sub is not a regular file"},
		"a name that is no text": {map[string]string{"a.yaml": base, "\xff\x1b[31m.yaml": "jobs: {x: {}}\n"}, nil, "[31m.yaml:1:8: jobs.x"},
		"a bad pattern":          {map[string]string{"a.yaml": base + "include: ['[']\n"}, nil, "include.0: is not a valid pattern: want a closing bracket"},
		"defaults in themselves": {map[string]string{"a.yaml": base + "defaults: &d {http: *d}\n", "b.yaml": "defaults: &d {http: *d, exec: *d}\n"}, nil, "defaults"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			_, err := read(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the error is %v, want %s", err, c.want)
			}
			if problems, ok := errors.AsType[config.Problems](err); ok && (!utf8.ValidString(problems[0].Brief()) || strings.ContainsAny(problems[0].Brief(), "\x1b\n")) {
				t.Errorf("the error has control characters: %q", problems[0].Brief())
			}
		})
	}
}

// TestManyFiles checks the bounds of the number and size of files.
func TestManyFiles(t *testing.T) {
	files := map[string]string{}
	for i := range 10_001 {
		files[fmt.Sprintf("%05d.yaml", i)] = fmt.Sprintf("x-%d: 1\n", i)
	}
	if _, err := read(folder(t, files)); err == nil || err.Error() != "the configuration has more than 10000 files" {
		t.Errorf("10,001 files: %v", err)
	}
	clear(files)
	for i := range 17 {
		files[fmt.Sprintf("%05d.yaml", i)] = strings.Repeat("# ..............\n", 4<<20/17)
	}
	if _, err := read(folder(t, files)); err == nil || err.Error() != "the files of the configuration are larger than 64MiB" {
		t.Errorf("68 MB: %v", err)
	}
}
