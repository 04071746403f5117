package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/deploy/examples"
)

// codeNames matches what no problem may contain: names from our code or from the code of the decoder.
func codeNames() *regexp.Regexp {
	return regexp.MustCompile(`\bstruct \{|interface \{|\bmain\.|rules\.|sources\.[A-Z]|setting\.[A-Z]|!!\w+|unmarshal|%!|0x[0-9a-f]{6}|<nil>`)
}

// FuzzLoad checks that any file gives a plan or a list of problems. The text of each problem is one line, and the problem is at a line that
// exists in the file.
func FuzzLoad(f *testing.F) {
	f.Add(examples.Demo("http://127.0.0.1:8001", ":8000"))
	f.Add(config.Example())
	stories, err := filepath.Glob("../../testdata/config/*.txtar")
	if err != nil || len(stories) < 25 {
		f.Fatalf("%d stories, %v", len(stories), err)
	}
	for _, story := range stories {
		text, err := os.ReadFile(story)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(text).Files {
			if file.Name == "cton.yaml" {
				f.Add(string(file.Data))
			}
		}
	}
	catalogue := agent.Catalogue()
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := config.Load("f.yaml", []byte(text), catalogue)
		if err == nil {
			if len(plan.Jobs) == 0 || len(plan.Sinks) == 0 {
				t.Error("a plan without jobs or sinks")
			}
			again, err := config.Load("f.yaml", []byte(text), catalogue)
			if err != nil || again.Jobs[0].Key != plan.Jobs[0].Key {
				t.Errorf("the second reading is another plan: %v", err)
			}
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || plan != nil {
			t.Fatalf("got %T %v and a plan %v", err, err, plan)
		}
		lines := 1 + len(regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]").FindAllString(text, -1))
		for _, p := range problems {
			if strings.ContainsAny(p.Brief(), "\n\r") || p.Line > lines {
				t.Errorf("a problem of more than one line, or at line %d of %d: %q", p.Line, lines, p.Brief())
			}
			if found := codeNames().FindString(p.Text); found != "" && !strings.Contains(text, found) {
				t.Errorf("%q contains %q", p.Text, found)
			}
		}
	})
}

// FuzzFiles checks that any two files give a plan or a list of problems. Each problem is at a line that exists in its
// file.
func FuzzFiles(f *testing.F) {
	f.Add("sinks: {page: {expose: {}}}\ndefaults: {labels: {a: b}, http: {headers: {a: b}}}\n", "jobs: {a: {schedule: '@every 60s', http: {url: 'http://a'}, metrics: {a: {type: gauge, value: .n}}}}")
	f.Add("x-a: &a {b: 1}\njobs: {<<: *a}", "jobs:\n- a\nsinks: null\nauth: {a: {headers: {a: 'file:b'}}}")
	f.Add("defaults: &d {http: *d}\n", "defaults: &d {http: *d, labels: []}\ninclude: [.., a.yaml, '*']")
	catalogue, dir := agent.Catalogue(), f.TempDir()
	f.Fuzz(func(t *testing.T, a, b string) {
		dir, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		lines := map[string]int{}
		for name, text := range map[string]string{filepath.Join(dir, "a.yaml"): a, filepath.Join(dir, "sub", "b.yaml"): b} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			lines[name] = 1 + len(regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]").FindAllString(text, -1))
		}
		if strings.Contains(a+b, "include") && strings.ContainsAny(a+b, "/.") {
			t.Skip("could read any file of this machine")
		}
		doc, err := config.Read([]string{dir, filepath.Join(dir, "sub")}, strings.NewReader(""))
		var plan *config.Plan
		if err == nil {
			plan, err = doc.Plan(doc.Root, catalogue, nil)
		}
		if err == nil {
			_, err := plan.YAML()
			if err != nil && !strings.HasPrefix(err.Error(), "print: ") {
				t.Error(err)
			}
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || plan != nil {
			t.Fatalf("got %T %v and a plan %v", err, err, plan)
		}
		for _, p := range problems {
			if p.Line > lines[p.File] {
				t.Errorf("a problem at line %d of %d: %q", p.Line, lines[p.File], p.Brief())
			}
		}
	})
}
