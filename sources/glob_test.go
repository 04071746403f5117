package sources_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/collectington/collectington/sources"
)

// TestGlob checks that Glob finds the same files as filepath.Glob, and that its error names the directories that cannot be read.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"a.json", "b.json", "one/a.json", "two/a.json", "two/b.yaml", "odd[1]/a.json"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o700), os.WriteFile(filepath.Join(dir, file), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("two", filepath.Join(dir, "way")), os.Symlink("gone", filepath.Join(dir, "gone.json"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, pattern := range []string{"*.json", "*/a.json", "*/*", "t?o/*", "a.json", "none/*", "a.json/*", "none", `odd\[1\]/*`, "./*", "*", "../*", "*/none/*"} {
		for _, pattern := range []string{pattern, filepath.Join(dir, pattern)} {
			want, _ := filepath.Glob(pattern)
			slices.Sort(want)
			if got, err := sources.Glob(pattern); !slices.Equal(got, want) || err != nil {
				t.Errorf("%s: %q, %v; want %q", pattern, got, err, want)
			}
		}
	}
	if _, err := sources.Glob("["); !errors.Is(err, filepath.ErrBadPattern) {
		t.Errorf("a bad pattern: %v", err)
	}

	// A link to itself fails with ELOOP, also for root.
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*/a.json", "loop/*"} {
		got, err := sources.Glob(pattern)
		if !errors.Is(err, syscall.ELOOP) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "loop") || pattern[0] == '*' && len(got) != 4 {
			t.Errorf("%s: %q, %v", pattern, got, err)
		}
	}
}
