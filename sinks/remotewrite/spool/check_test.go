package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck checks that Check says why a spool cannot be used, also while an agent runs. Check leaves nothing behind.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, filepath.Join(dir, "used"))
	b.Put(b.recordIn(0))
	for _, name := range []string{"bad", "lock", "new"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "file"), nil)
	put(t, filepath.Join(dir, "bad", badDir), nil)
	if err := os.Mkdir(filepath.Join(dir, "lock", lockFile), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"used":          "",
		"new":           "",
		"missing/spool": "",
		"file":          "it is not a directory",
		"file/x/spool":  "not a directory",
		"bad":           "not a directory",
		"lock":          "is a directory",
	} {
		err := Check(filepath.Join(dir, path))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "use the spool "+dir+"/"+path+": ") || !strings.HasSuffix(err.Error(), want)):
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	for _, path := range []string{"missing", "new/" + lockFile, "new/" + badDir} {
		if _, err := os.Lstat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Check has made %s", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*")); len(left) > 0 {
		t.Errorf("Check has left %q", left)
	}
}
