package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "dir")
	a, b := durable.NewDir(path), durable.NewDir(path)
	if err := a.Lock("lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v", err)
	}
	if err := errors.Join(a.Mkdir("."), a.Mkdir("."), a.Lock("lock")); err != nil {
		t.Fatal(err)
	}
	err := b.Lock("lock")
	held, ok := errors.AsType[*durable.HeldError](err)
	if !ok || held.PID != os.Getpid() || err.Error() != fmt.Sprintf("in use by process %d", os.Getpid()) {
		t.Errorf("locked twice: %v", err)
	}
	if err := errors.Join(a.Unlock(), a.Unlock(), b.Lock("lock")); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
	if err := os.WriteFile(filepath.Join(path, "lock"), []byte("no number"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Lock("lock"); err == nil || err.Error() != "in use by another process" {
		t.Errorf("with a lock file that names no process: %v", err)
	}
	if err := b.Unlock(); err != nil {
		t.Error(err)
	}
}

// TestAppend appends, reads back, truncates and appends again, also over two openings.
func TestAppend(t *testing.T) {
	d := durable.NewDir(t.TempDir())
	for i, want := range []string{"one", "ontwo"} {
		f, err := d.Append("journal")
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			err = f.Truncate(2)
		}
		_, failed := io.WriteString(f, []string{"one", "two"}[i])
		if err := errors.Join(err, failed, f.Sync(), f.Close(), d.SyncDir()); err != nil {
			t.Fatal(err)
		}
		if data, err := d.ReadFile("journal", 100); string(data) != want || err != nil {
			t.Errorf("read %q, %v; want %q", data, err, want)
		}
	}
	if data, err := d.ReadFile("journal", 3); string(data) != "ont" || err != nil {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err := d.ReadFile(".", 3); !errors.Is(err, durable.ErrNotRegular) {
		t.Errorf("read a directory: %v", err)
	}
}

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	d := durable.NewDir(dir)
	err := errors.Join(d.Mkdir("sub/deep"), os.WriteFile(filepath.Join(dir, "b"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "a"), nil, 0o600), os.Symlink("a", filepath.Join(dir, "link")))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := d.ReadDir("."); strings.Join(names, " ") != "a b" || err != nil {
		t.Errorf("got %q, %v", names, err)
	}
}

// TestReplaceFile replaces a file for its owner only, and removes temporary files that are old enough.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	stale, fresh := filepath.Join(dir, ".token.ABCDEFGHIJ.tmp"), filepath.Join(dir, ".token.KLMNOPQRST.tmp")
	old := time.Now().Add(-2 * time.Hour)
	err := errors.Join(os.WriteFile(stale, nil, 0o600), os.WriteFile(fresh, nil, 0o600), os.Chtimes(stale, old, old))
	for _, content := range []string{"one", "two"} {
		err = errors.Join(err, durable.CheckReplace(path), durable.ReplaceFile(path, []byte(content)))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	info, failed := os.Stat(path)
	if err := errors.Join(err, failed); err != nil || string(data) != "two" || info.Mode() != 0o600 {
		t.Errorf("the file holds %q, mode %v: %v", data, info.Mode(), err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(names) != 1 || names[0] != fresh {
		t.Errorf("temporary files: %q", names)
	}
	err = durable.CheckReplace(dir)
	if !errors.Is(err, durable.ErrNotRegular) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	for _, f := range []func() error{
		func() error { return durable.CheckReplace(path + "/below") },
		func() error { return durable.ReplaceFile(path+"/below", nil) },
	} {
		if err := f(); err == nil {
			t.Error("a file below a file was written")
		}
	}
}
