package discovery_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/collectington/collectington/sources/discovery"
)

func anyTarget(string) error { return nil }

// TestInvalidFileIsReadAgain checks that a file that was not valid is read again even if its size and time are the same.
func TestInvalidFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.yaml")
	at := time.Now().Add(-time.Hour)
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f := discovery.Files{Dir: filepath.Dir(path), Patterns: []string{"t.yaml"}, Check: anyTarget}
	write("- targets: {a:1]\n")
	if groups, err := f.Refresh(); len(groups) != 0 || err == nil {
		t.Fatalf("a broken file gives %v and %v", groups, err)
	}
	write("- targets: [a:1]\n")
	if groups, err := f.Refresh(); len(groups) != 1 || err != nil {
		t.Errorf("a repaired file gives %v and %v", groups, err)
	}
}

// TestUnreadableDirectory checks the targets of a file. They stay while the directory of the file cannot be read. They end when the file is
// removed.
func TestUnreadableDirectory(t *testing.T) {
	dir := t.TempDir()
	targets := filepath.Join(dir, "targets")
	if err := errors.Join(os.Mkdir(targets, 0o700), os.WriteFile(filepath.Join(targets, "a.yaml"), []byte("- targets: [a:1]"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f := discovery.Files{Dir: dir, Patterns: []string{"targets/*.yaml"}, Check: anyTarget}
	want := func(when string, groups, problems int) {
		t.Helper()
		if got, err := f.Refresh(); len(got) != groups || len(err) != problems {
			t.Errorf("%s: %v and %v", when, got, err)
		}
	}
	want("at first", 1, 0)
	if err := errors.Join(os.Rename(targets, dir+"/aside"), os.Symlink("targets", targets)); err != nil { // ELOOP, also for root
		t.Fatal(err)
	}
	want("unreadable", 1, 2)
	want("still unreadable", 1, 2)
	if err := errors.Join(os.Remove(targets), os.Rename(dir+"/aside", targets)); err != nil {
		t.Fatal(err)
	}
	want("readable", 1, 0)
	if err := os.Remove(filepath.Join(targets, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	want("gone", 0, 0)
}
