package main

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const source = `package p

const limit = 3

func f(a, b int, name string) (n int, ok bool) {
	if a < b && !ok {
		return 1, true
	}
	n += a
	g()
	for i := range b {
		if i == a {
			continue
		}
	}
	return n, name+"x" == ""
}
`

// TestMutations checks all mutations of a small file, and that each leaves a file that parses.
func TestMutations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := mutationsOf(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.String())
		if _, err := format.Source(m.apply([]byte(source))); err != nil {
			t.Errorf("%s: %v", m.String(), err)
		}
	}
	want := []string{
		"without: if a < b && !ok { return 1, true }", "&& → ||", "< → <=", "without: !", "1 → 2", "true → false",
		"without: n += a", "without: g()", "without: if i == a { continue }", "== → !=", "without: continue", "== → !=",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestDraw checks that a seed gives the same mutations each time, another seed gives others, and targets take turns.
func TestDraw(t *testing.T) {
	file := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	both := []target{{name: "a", files: []string{file("a.go")}}, {name: "b", files: []string{file("b.go")}}}
	places := func(seed uint64) (list []string) {
		drawn, err := draw(both, seed)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range drawn[:6] {
			list = append(list, c.String())
			if c.name != both[i%2].name {
				t.Errorf("mutation %d is of target %s", i, c.name)
			}
		}
		return list
	}
	if one := places(1); !slices.Equal(one, places(1)) || slices.Equal(one, places(2)) {
		t.Errorf("seed 1 gives %q and %q, seed 2 %q", one, places(1), places(2))
	}
	if _, err := draw([]target{{name: "c", files: []string{"gone/*.go"}}}, 1); err == nil {
		t.Error("a pattern without files is accepted")
	}
}

// TestTargets checks that the files and packages to mutate and to test exist.
func TestTargets(t *testing.T) {
	t.Chdir("../../..")
	for _, of := range targets() {
		for _, pattern := range of.files {
			if files, err := filepath.Glob(pattern); err != nil || len(files) == 0 {
				t.Errorf("%s: no file matches %s (%v)", of.name, pattern, err)
			}
		}
		for _, user := range of.users {
			if files, _ := filepath.Glob(filepath.Join(user, "*_test.go")); len(files) == 0 {
				t.Errorf("%s: %s has no tests", of.name, user)
			}
		}
	}
}
