package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

// TestAppend checks that data can be appended, read back, truncated and appended again, also when the file is opened a second time.
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

// TestManyNames reads a directory with more names than the system returns in one call. The names have all possible lengths.
func TestManyNames(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 2000 {
		name := fmt.Sprint(i, strings.Repeat("x", i%240))
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	slices.Sort(want)
	names, err := durable.NewDir(dir).ReadDir(".")
	if !slices.Equal(names, want) || err != nil {
		t.Errorf("got %d names, %v", len(names), err)
	}
}

func TestEachNameNowhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"none": fs.ErrNotExist, "file": syscall.ENOTDIR} {
		path := ""
		err := durable.NewDir(dir).EachName(name, func([]byte) { t.Error("a name") })
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			path = failed.Path
		}
		if !errors.Is(err, want) || path != filepath.Join(dir, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReplaceFile checks that only the owner can read a replaced file, and that temporary files are removed if they are old enough.
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

// TestReplaceBehindLinks checks that files behind symbolic links are replaced, also behind relative links in directories that are links
// themselves. The links stay, and nothing is left beside them.
func TestReplaceBehindLinks(t *testing.T) {
	for name, replace := range map[string]func(path, content string) error{
		"Replace": func(path, content string) error {
			return durable.Replace(durable.NewDir(filepath.Dir(path)), filepath.Base(path), func(w io.Writer) error {
				_, err := io.WriteString(w, content)
				return err
			})
		},
		"ReplaceFile": func(path, content string) error {
			return errors.Join(durable.CheckReplace(path), durable.ReplaceFile(path, []byte(content)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := errors.Join(os.MkdirAll(filepath.Join(dir, "data", "deep"), 0o700), os.Mkdir(filepath.Join(dir, "etc"), 0o700),
				os.Symlink(filepath.Join("data", "deep"), filepath.Join(dir, "way")), // way/.. is data
				os.Symlink("../way/../state", filepath.Join(dir, "etc", "relative")),
				os.Symlink(filepath.Join(dir, "etc", "relative"), filepath.Join(dir, "absolute")),
				os.Symlink("loop", filepath.Join(dir, "loop")), os.Symlink("none/x", filepath.Join(dir, "nowhere")))
			if err != nil {
				t.Fatal(err)
			}
			for i, link := range []string{"etc/relative", "absolute"} {
				content := fmt.Sprint("content ", i)
				if err := replace(filepath.Join(dir, link), content); err != nil {
					t.Errorf("%s: %v", link, err)
				}
				if data, err := os.ReadFile(filepath.Join(dir, "data", "state")); string(data) != content || err != nil {
					t.Errorf("%s: the target has %q, %v; want %q", link, data, err, content)
				}
				if info, err := os.Lstat(filepath.Join(dir, link)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
					t.Errorf("%s is no link any more: %v, %v", link, info, err)
				}
			}
			for _, broken := range []string{"loop", "nowhere"} {
				if err := replace(filepath.Join(dir, broken), "x"); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, broken)) {
					t.Errorf("%s: %v", broken, err)
				}
			}
			for _, left := range []string{"etc/*", "etc/.*", "data/*", "data/.*"} {
				names, _ := filepath.Glob(filepath.Join(dir, left))
				for _, name := range names {
					if base := filepath.Base(name); base != "relative" && base != "state" && base != "deep" {
						t.Errorf("left behind: %s", name)
					}
				}
			}
		})
	}
}

// TestLockBehindLink checks that a symbolic link can be locked. This must not change the file to which the link points, and must not create
// this file if it is missing.
func TestLockBehindLink(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	err := errors.Join(os.WriteFile(foreign, []byte("precious"), 0o600), os.Mkdir(filepath.Join(dir, "spool"), 0o700),
		os.Symlink("../foreign", filepath.Join(dir, "spool", "lock")), os.Symlink("../missing", filepath.Join(dir, "spool", "dangling")))
	if err != nil {
		t.Fatal(err)
	}
	a, b := durable.NewDir(filepath.Join(dir, "spool")), durable.NewDir(filepath.Join(dir, "spool"))
	if err := a.Lock("lock"); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock("lock"); err == nil || err.Error() != "in use by another process" {
		t.Errorf("locked twice: %v", err)
	}
	if err := errors.Join(a.Unlock(), b.Lock("lock"), b.Unlock()); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
	if data, err := os.ReadFile(foreign); string(data) != "precious" || err != nil {
		t.Errorf("the file behind the link has %q, %v", data, err)
	}
	if err := a.Lock("dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to a missing file: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("locking has made the file behind the link: %v", err)
	}
}
