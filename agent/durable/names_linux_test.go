package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestTypeUnknown checks the case of a file system whose directory entries do not say what type of file they are.
func TestTypeUnknown(t *testing.T) {
	path := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(path, "file"), nil, 0o600), os.Mkdir(filepath.Join(path, "sub"), 0o700),
		os.Symlink("file", filepath.Join(path, "link")))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for name, want := range map[string]bool{"file": true, "sub": false, "link": false, "gone": false, "..": false} {
		if got, err := isRegular(dir, syscall.DT_UNKNOWN, []byte(name)); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := isRegular(dir, syscall.DT_UNKNOWN, []byte("file/x")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("an entry that cannot be asked: %v", err)
	}
}
