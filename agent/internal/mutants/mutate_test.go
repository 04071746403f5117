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

// TestMutations checks all mutations of a small file. After each mutation, the file can still be parsed.
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

// TestDraw checks that a seed gives the same mutations each time, another seed gives others, targets take turns, and
// mutations can be skipped.
func TestDraw(t *testing.T) {
	file := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	both := []target{{name: "a", files: []string{file("a.go")}}, {name: "b", files: []string{file("b.go")}}}
	places := func(seed uint64, skip int) (list []string) {
		drawn, err := draw(both, seed, skip)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range drawn[:6] {
			list = append(list, c.String())
			if c.name != both[(skip+i)%2].name {
				t.Errorf("mutation %d is of target %s", skip+i, c.name)
			}
		}
		return list
	}
	one := places(1, 0)
	if !slices.Equal(one, places(1, 0)) || slices.Equal(one, places(2, 0)) {
		t.Errorf("seed 1 gives %q and %q, seed 2 %q", one, places(1, 0), places(2, 0))
	}
	if rest := places(1, 3); !slices.Equal(rest[:3], one[3:]) {
		t.Errorf("after 3 skipped mutations, seed 1 gives %q, want %q first", rest, one[3:])
	}
	for _, skip := range []int{-1, 1000} {
		if _, err := draw(both, 1, skip); err == nil {
			t.Errorf("a draw that skips %d mutations is accepted", skip)
		}
	}
	if _, err := draw([]target{{name: "c", files: []string{"gone/*.go"}}}, 1, 0); err == nil {
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
