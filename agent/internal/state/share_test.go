package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// openShared opens a state as one of several processes does.
func openShared(t *testing.T, path string) *File {
	t.Helper()
	f, problems, err := Open(t.Context(), path, Options{
		Shared: true, Log: slog.New(slog.DiscardHandler),
		Fold: func(_ string, records [][]byte) ([]byte, error) { return bytes.Join(records, nil), nil },
	})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	t.Cleanup(f.Close)
	return f
}

// TestShared checks that no record is lost or duplicated when several processes append at the same time, and fold the journals in
// between.
func TestShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	const processes, records = 6, 30
	var all sync.WaitGroup
	for p := range processes {
		all.Go(func() {
			f := openShared(t, path)
			for i := range records {
				<-f.Append(fmt.Sprint("job", p), fmt.Appendf(nil, "%d ", i)).Done()
				if i%10 == p {
					f.compactAndLog()
				}
			}
		})
	}
	all.Wait()
	var want strings.Builder
	for i := range records {
		fmt.Fprintf(&want, "%d ", i)
	}
	sections, damage, err := Read(path)
	if err != nil || len(damage) > 0 || len(sections) != processes {
		t.Fatal(err, damage, len(sections))
	}
	for name, s := range sections {
		if got := string(bytes.Join(s.Records, nil)); got != want.String() {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestSharedReread checks that a process sees what others have written since it has opened the state.
func TestSharedReread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	a, b := openShared(t, path), openShared(t, path)
	<-a.Append("job", []byte("1")).Done()
	if err := b.Reread(); err != nil {
		t.Fatal(err)
	}
	if got := mustRecords(t, b, "job"); len(got) != 1 || string(got[0]) != "1" {
		t.Errorf("got %q", got)
	}
	b.Loaded()
	<-a.Append("job", []byte("2")).Done()
	if got := mustRecords(t, b, "job"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

// TestSharedTorn checks that a process can append after another process was killed while it wrote.
func TestSharedTorn(t *testing.T) {
	dir := t.TempDir()
	a, b := openShared(t, filepath.Join(dir, "state")), openShared(t, filepath.Join(dir, "state"))
	<-a.Append("job", []byte("1")).Done()
	torn, err := durable.NewDir(dir).Append("state.journal-1")
	if err == nil {
		_, err = torn.Write([]byte("half a rec"))
	}
	if err := errors.Join(err, torn.Close()); err != nil {
		t.Fatal(err)
	}
	<-b.Append("job", []byte("2")).Done()
	<-a.Append("job", []byte("3")).Done()
	sections, damage, err := Read(filepath.Join(dir, "state"))
	if got := string(bytes.Join(sections["job"].Records, nil)); got != "123" || err != nil || len(damage) > 0 {
		t.Errorf("got %q, %v, %v", got, damage, err)
	}
}

// failingSync is a directory in which the next syncs of files fail. The field "left" says how many of them fail.
type failingSync struct {
	durable.FS
	left atomic.Int32
}

func (f *failingSync) Append(name string) (durable.File, error) {
	file, err := f.FS.Append(name)
	return unsynced{file, f}, err
}

type unsynced struct {
	durable.File
	of *failingSync
}

func (u unsynced) Sync() error {
	if u.of.left.Add(-1) >= 0 {
		return errors.New("input/output error")
	}
	return u.File.Sync()
}

// TestSharedFailedSync checks that nothing is appended to a journal after a failed sync, because it is not known how much of the journal
// is on disk.
func TestSharedFailedSync(t *testing.T) {
	dir := t.TempDir()
	disk := &failingSync{FS: durable.NewDir(dir)}
	f, _, err := OpenOn(t.Context(), filepath.Join(dir, "state"), disk, Options{Shared: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	<-f.Append("job", []byte("1")).Done()
	disk.left.Store(1)
	<-f.Append("job", []byte("2")).Done()
	second, err := durable.NewDir(dir).ReadFile("state.journal-2", 1<<10)
	if err != nil || !bytes.Contains(second, []byte("2")) {
		t.Errorf("the record is not in a new journal: %q, %v", second, err)
	}
}

// TestSharedSize checks that opening a state counts the bytes of its journals only once.
func TestSharedSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	a := openShared(t, path)
	<-a.Append("job", []byte("1")).Done()
	b := openShared(t, path)
	if a.journalBytes != b.journalBytes {
		t.Errorf("written: %d, opened: %d", a.journalBytes, b.journalBytes)
	}
}

// TestSharedFailedTurn checks a process that could not read what others have written. It reads this at its next turn.
func TestSharedFailedTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	a, b := openShared(t, path), openShared(t, path)
	<-a.Append("job", []byte("1")).Done()
	<-b.Append("job", []byte("2")).Done()
	b.compactAndLog() // it removes the journal to which the file a has appended
	<-b.Append("job", []byte("3")).Done()
	whole, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte("cton state 99 x\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	waits := a.Append("job", []byte("4"))
	a.Flush() // fails
	if a.Status().Failed == 0 {
		t.Fatal("a state of a later version was written to")
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Flush()
	<-waits.Done()
	sections, damage, err := Read(path)
	if got := string(bytes.Join(sections["job"].Records, nil)); got != "1234" || err != nil || len(damage) > 0 {
		t.Errorf("got %q, %v, %v", got, damage, err)
	}
}

// TestSharedAlone checks that a process does not read the files again if it also had the last turn. Otherwise, each write would read the
// whole state.
func TestSharedAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	a := openShared(t, path)
	<-a.Append("job", []byte("1")).Done()
	a.size += 1000 // reading the files again would correct the size
	<-a.Append("job", []byte("2")).Done()
	if a.size < 1000 {
		t.Errorf("the files were read again: size %d", a.size)
	}
}

// TestSharedLocks checks which processes wait for which.
func TestSharedLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	a, b := openShared(t, path), openShared(t, path)
	ended, end := context.WithCancel(t.Context())
	end()
	long := "a/b " + strings.Repeat("ü", 100)
	unlock, err := a.LockJob(ended, long)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := b.LockJob(ended, "b"); err != nil {
		t.Errorf("another job: %v", err)
	} else {
		other()
	}
	if _, err := b.LockJob(ended, long); !IsHeld(err) {
		t.Errorf("the same job: %v", err)
	}
	unlock()
	again, err := b.LockJob(ended, long)
	if err != nil {
		t.Errorf("unlocked: %v", err)
	}
	again()

	alone, _, err := Open(ended, path, Options{})
	if err == nil {
		alone.Close()
		t.Error("one that wants the state alone has opened it")
	}
}

// interrupted is a directory in which something happens after the first reading of a journal.
type interrupted struct {
	durable.FS
	done atomic.Bool
	do   func()
}

func (d *interrupted) ReadFile(name string, limit int64) ([]byte, error) {
	data, err := d.FS.ReadFile(name, limit)
	if d.do != nil && name == "state.journal-1" && !d.done.Swap(true) {
		d.do()
	}
	return data, err
}

// TestSharedRereadTwice checks two calls of Reread at the same time: the call that began first does not replace what the other call has
// read.
func TestSharedRereadTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	other := openShared(t, path)
	disk := &interrupted{FS: durable.NewDir(filepath.Dir(path))}
	f, _, err := OpenOn(t.Context(), path, disk, Options{Shared: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	<-other.Append("job", []byte("1")).Done()
	reread := func() {
		if err := f.Reread(); err != nil {
			t.Error(err)
		}
	}
	second := make(chan struct{})
	disk.do = func() {
		<-other.Append("job", []byte("2")).Done()
		go func() {
			defer close(second)
			reread()
		}()
		select {
		case <-second:
		case <-time.After(50 * time.Millisecond): // it waits for the first
		}
	}
	reread()
	<-second
	if got := mustRecords(t, f, "job"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

// TestAppendIf checks that AppendIf calls its function just before the record is written, and that the record is never written after the
// function has returned false.
func TestAppendIf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, other := openShared(t, path), openShared(t, path)
	_, unlock, err := other.wait(t.Context(), filepath.Base(path)+".turn", "", time.Millisecond) // another process has its turn, and f must wait
	if err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	asked := 0
	may := Condition{May: func() bool { asked++; return !over.Load() }}
	first, second, last := f.AppendIf(may, "job", []byte("1")), f.AppendIf(may, "job", []byte("2")), f.Append("other", []byte("3"))
	over.Store(true)
	unlock()
	for _, w := range []*Write{first, second, last} {
		<-w.Done()
	}
	<-f.AppendIf(may, "job", []byte("4")).Done()
	over.Store(false)
	<-f.AppendIf(may, "job", []byte("5")).Done()
	if names, err := other.Names(); err != nil || fmt.Sprint(names) != "[]" {
		t.Errorf("names %q, %v before the files are read again", names, err)
	}
	other.Loaded()
	if names, err := other.Names(); err != nil || fmt.Sprint(names) != "[job other]" {
		t.Errorf("names %q, %v", names, err)
	}
	if got := mustRecords(t, other, "job"); len(got) != 1 || string(got[0]) != "5" || asked != 4 {
		t.Errorf("asked %d times; the file has %q", asked, got)
	}
}
