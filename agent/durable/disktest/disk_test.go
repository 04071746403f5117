package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAppendIsTorn appends a synced and an unsynced record and cuts the power. The synced one stays. In repeated runs, the other one must
// come back in each of these ways: whole, torn, zeroed, and not at all.
func TestAppendIsTorn(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(2000) {
		d := disktest.New(seed)
		f := must[durable.File](t)(d.Append("journal"))
		must[int](t)(f.Write([]byte("synced|")))
		check(t, f.Sync())
		check(t, d.SyncDir())
		must[int](t)(f.Write([]byte("lost")))
		d.Reboot(disktest.PowerCut)
		rest, ok := bytes.CutPrefix(d.Content("journal"), []byte("synced|"))
		if !ok {
			t.Fatalf("seed %d: the synced record has become %q", seed, d.Content("journal"))
		}
		seen[string(rest)] = true
		if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("a file of the process before the reboot: %v", err)
		}
	}
	for _, want := range []string{"", "lost", "lo", "l\x00st", "\x00\x00\x00\x00"} {
		if !seen[want] {
			t.Errorf("%q never came back; %d others did", want, len(seen))
		}
	}
}

// TestTruncate checks that a truncation is durable after Sync, and that data appended after the truncation is not safe before Sync.
func TestTruncate(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(300) {
		d := disktest.New(seed)
		d.Put("journal", []byte("whole|torn"))
		f := must[durable.File](t)(d.Append("journal"))
		check(t, f.Truncate(6))
		if seed%2 == 0 {
			check(t, f.Sync())
		}
		must[int](t)(f.Write([]byte("new")))
		if got := string(d.Content("journal")); got != "whole|new" {
			t.Fatalf("before the power cut: %q", got)
		}
		d.Reboot(disktest.PowerCut)
		got := string(d.Content("journal"))
		if seed%2 == 0 && got == "whole|torn" {
			t.Fatalf("seed %d: the truncation was synced, and is undone", seed)
		}
		if got[:6] != "whole|" {
			t.Fatalf("seed %d: %q", seed, got)
		}
		seen[got] = true
	}
	for _, want := range []string{"whole|torn", "whole|", "whole|new", "whole|n\x00w"} {
		if !seen[want] {
			t.Errorf("%q never came back", want)
		}
	}
}

// TestNames checks that the name of a file is durable only after SyncDir, and its content only after Sync.
func TestNames(t *testing.T) {
	outcomes := map[string]bool{}
	for seed := range uint64(100) {
		d := disktest.New(seed)
		d.Put("a", []byte("old"))
		f := must[durable.File](t)(d.Create("a.tmp"))
		must[int](t)(f.Write([]byte("new")))
		check(t, f.Sync())
		check(t, d.Rename("a.tmp", "a"))
		check(t, d.Link("a", "b"))
		if seed%2 == 0 {
			check(t, d.SyncDir())
		}
		d.Reboot(disktest.PowerCut)
		outcome := fmt.Sprintf("%s %q", d.Names(), d.Content("a"))
		if seed%2 == 0 && outcome != `[a b] "new"` {
			t.Fatalf("seed %d: synced names have become %s", seed, outcome)
		}
		outcomes[outcome] = true
	}
	for _, want := range []string{`[a] "old"`, `[a] "new"`, `[a a.tmp] "old"`, `[a b] "old"`} {
		if !outcomes[want] {
			t.Errorf("%s never came back, but %v", want, outcomes)
		}
	}
}

// TestFailedSync checks a Sync that follows a failed Sync. The second Sync can succeed although data from before the failure is lost.
// Before the power cut, the process can still read this data.
func TestFailedSync(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		d := disktest.New(seed)
		f := must[durable.File](t)(d.Append("a"))
		check(t, d.SyncDir())
		must[int](t)(f.Write([]byte("x")))
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "sync" {
				return syscall.EIO
			}
			return nil
		}
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.Fail = nil
		check(t, f.Sync())
		if got := d.Content("a"); string(got) != "x" {
			t.Fatalf("before the power cut: %q", got)
		}
		d.Reboot(disktest.PowerCut)
		if got := d.Content("a"); string(got) != "x" {
			lost++
		}
	}
	if lost == 0 || lost == 50 {
		t.Errorf("lost %d times of 50", lost)
	}
}

func TestFullReadOnlySlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		d.Capacity, d.Delay = 10, time.Second
		began := time.Now()
		f := must[durable.File](t)(d.Create("a"))
		n, err := f.Write([]byte("12345678"))
		if n != 8 || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
		if n, err := f.Write([]byte("12345678")); n > 2 || !errors.Is(err, syscall.ENOSPC) || len(d.Content("a")) != 8+n {
			t.Errorf("wrote %d to a full disk: %v", n, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("three operations took %s", took)
		}
		d.ReadOnly = true
		_, err = d.Create("b")
		for _, err := range []error{err, d.Rename("a", "b"), d.Remove("a"), f.Truncate(0)} {
			if !errors.Is(err, syscall.EROFS) {
				t.Errorf("on a read-only disk: %v", err)
			}
		}
		if data, err := d.ReadFile("a", 3); string(data) != "123" || err != nil {
			t.Errorf("read %q: %v", data, err)
		}
	})
}

func TestLock(t *testing.T) {
	d := disktest.New(1)
	check(t, d.Lock("lock"))
	if held, ok := errors.AsType[*durable.HeldError](d.Lock("lock")); !ok || held.PID != 1 {
		t.Errorf("locked twice: %v", held)
	}
	d.Reboot(disktest.Killed)
	check(t, d.Lock("lock"))
	check(t, d.Unlock())
	check(t, d.Lock("lock"))
}

// TestReplace replaces two files, and kills the process or cuts the power at each operation. Afterwards each file must have either its
// old or its new content. When ReplaceAll has returned, each file must have its new content.
func TestReplace(t *testing.T) {
	for _, crash := range []disktest.Crash{disktest.Killed, disktest.PowerCut} {
		for stop := 1; ; stop++ {
			d := disktest.New(uint64(stop))
			d.Put("a", []byte("old a"))
			d.Put("b", []byte("old b"))
			survived := d.Run(stop, func() {
				r, err := durable.ReplaceAll(d, []string{"a", "b"}, func(i int, w io.Writer) error {
					_, err := fmt.Fprint(w, "new ", string("ab"[i]))
					return err
				})
				if r.Named != 2 || !r.Durable || r.Left != nil || err != nil {
					t.Errorf("got %+v, %v", r, err)
				}
			})
			d.Reboot(crash)
			for _, name := range []string{"a", "b"} {
				got := string(d.Content(name))
				if got != "new "+name && (survived || got != "old "+name) {
					t.Fatalf("stopped at %d, crash %v: %s holds %q", stop, crash, name, got)
				}
			}
			if survived {
				if names := d.Names(); !slices.Equal(names, []string{"a", "b"}) {
					t.Errorf("left are %q", names)
				}
				break
			}
		}
	}
}

// TestReplaceFails makes each kind of operation fail. The file must keep its content, and nothing may be left behind. If SyncDir fails,
// however, the file has the new content, which is not durable.
func TestReplaceFails(t *testing.T) {
	for _, kind := range []string{"create", "write", "sync", "close", "rename", "syncdir"} {
		d := disktest.New(1)
		d.Put("a", []byte("old"))
		d.Fail = func(op disktest.Op) error {
			if op.Kind == kind {
				return syscall.EIO
			}
			return nil
		}
		err := durable.Replace(d, "a", func(w io.Writer) error {
			_, err := io.WriteString(w, "new")
			return err
		})
		want := "old"
		if kind == "syncdir" {
			want = "new"
		}
		if got := string(d.Content("a")); !errors.Is(err, syscall.EIO) || got != want || len(d.Names()) != 1 {
			t.Errorf("%s: %v; a holds %q, files are %q", kind, err, got, d.Names())
		}
	}
}

// TestReplaceAllStops makes the second file of three fail. The first file must be replaced, and the result must name the temporary files
// that could not be removed.
func TestReplaceAllStops(t *testing.T) {
	for _, kind := range []string{"create", "write", "sync", "close", "rename"} {
		d := disktest.New(1)
		d.Fail = func(op disktest.Op) error {
			if op.Kind == kind && op.Name == "b.tmp" || op.Kind == "remove" {
				return syscall.EIO
			}
			return nil
		}
		r, err := durable.ReplaceAll(d, []string{"a", "b", "c"}, func(i int, w io.Writer) error {
			_, err := fmt.Fprint(w, i)
			return err
		})
		left := map[string][]string{"create": nil, "write": {"b.tmp"}}
		want, ok := left[kind]
		if !ok {
			want = []string{"b.tmp", "c.tmp"}
		}
		if r.Named != 1 || !r.Durable || !slices.Equal(r.Left, want) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got %+v, %v", kind, r, err)
		}
		if names := d.Names(); !slices.Equal(names, append([]string{"a"}, want...)) {
			t.Errorf("%s: files are %q", kind, names)
		}
	}
}
