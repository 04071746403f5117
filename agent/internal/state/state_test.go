package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

// join folds records by putting them together.
func join(_ string, records [][]byte) ([]byte, error) { return bytes.Join(records, nil), nil }

func options() Options { return Options{Fold: join, Log: slog.New(slog.DiscardHandler)} }

func mustOpen(t *testing.T, d durable.FS) (*File, []error) {
	t.Helper()
	f, problems, err := OpenOn(t.Context(), "/var/lib/cton/state", d, options())
	if err != nil {
		t.Fatal(err)
	}
	return f, problems
}

// history is what jobs have appended: each record of a job is a number, counted from 1.
type history struct {
	dice    *rand.Rand
	put     map[string]int // the last number of each job
	written map[string]int // the last number that was on disk for certain
}

func newHistory(seed uint64) *history {
	return &history{dice: rand.New(rand.NewPCG(seed, 2)), put: map[string]int{}, written: map[string]int{}}
}

// play appends records, of several jobs together, and folds them now and then.
func (h *history) play(t *testing.T, f *File, steps int) {
	for range steps {
		last := map[string]*Write{}
		for range 1 + h.dice.IntN(3) {
			job := fmt.Sprint("job", h.dice.IntN(3))
			h.put[job]++
			last[job] = f.Append(job, fmt.Appendf(nil, "%d;", h.put[job]))
		}
		f.Flush()
		for job, w := range last {
			select {
			case <-w.Done():
				h.written[job] = h.put[job]
			default:
			}
		}
		if h.dice.IntN(4) == 0 {
			_ = f.compact() // on a disk that fails
		}
		synctest.Wait()
	}
}

// check checks the records of each job. They must be those that the job has appended, in order. The newest of them must not be older than
// the last record that was certainly on disk. A record may be there twice.
func (h *history) check(t *testing.T, f *File) {
	t.Helper()
	for job := range h.put {
		last := 0
		for _, number := range strings.Split(strings.TrimSuffix(string(bytes.Join(mustRecords(t, f, job), nil)), ";"), ";") {
			n := 0
			_, _ = fmt.Sscan(number, &n)
			if n > last+1 {
				t.Fatalf("%s: %d follows %d", job, n, last)
			}
			last = max(last, n)
		}
		if last < h.written[job] || last > h.put[job] {
			t.Fatalf("%s ends at %d; %d was written, %d appended", job, last, h.written[job], h.put[job])
		}
	}
}

// endAt ends the process at an operation.
func endAt(d *disktest.Disk, stop int) {
	first := d.Ops()
	d.Fail = func(op disktest.Op) error {
		if op.Number >= first+stop {
			return disktest.ErrEnded
		}
		return nil
	}
}

// TestCrash checks that nothing that was written is lost or out of order when the process ends at any operation, by a kill or a power cut.
func TestCrash(t *testing.T) {
	for _, how := range []disktest.Crash{disktest.Killed, disktest.PowerCut} {
		for stop := 1; ; stop++ {
			survived := false
			synctest.Test(t, func(t *testing.T) { survived = crash(t, stop, how) })
			if survived {
				break
			}
		}
	}
}

func crash(t *testing.T, stop int, how disktest.Crash) (survived bool) {
	d := disktest.New(uint64(stop))
	f, _ := mustOpen(t, d)
	h := newHistory(uint64(stop))
	h.play(t, f, 5)
	endAt(d, stop)
	before := d.Ops()
	h.play(t, f, 25)
	f.Close()
	survived = d.Ops()-before < stop
	for lives := range 3 {
		d.Fail = nil
		d.Reboot(how)
		f, problems := mustOpen(t, d)
		if len(problems) > 0 {
			t.Fatalf("operation %d: %v", stop, problems)
		}
		h.check(t, f)
		for job := range h.put { // from here on, the records that were read are the expected ones
			h.put[job] = lastOf(t, f, job)
			h.written[job] = h.put[job]
		}
		if lives == 0 { // what Open has read after a kill survives a power cut
			f.Close()
			d.Reboot(disktest.PowerCut)
			f, _ = mustOpen(t, d)
			h.check(t, f)
		}
		if lives == 1 {
			endAt(d, 1+h.dice.IntN(40))
		}
		h.play(t, f, 5)
		f.Close()
	}
	return survived
}

func lastOf(t *testing.T, f *File, job string) (last int) {
	for _, number := range strings.Split(string(bytes.Join(mustRecords(t, f, job), nil)), ";") {
		n := 0
		_, _ = fmt.Sscan(number, &n)
		last = max(last, n)
	}
	return last
}

// TestDiskFails checks that records survive when the disk fails for some operations. What was written stays. What was appended in the
// meantime is written, in order, once the disk works.
func TestDiskFails(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			dice, d := rand.New(rand.NewPCG(seed, 1)), disktest.New(seed)
			from := 1 + dice.IntN(80)
			fault := []error{syscall.ENOSPC, syscall.EIO, syscall.ESTALE, syscall.ENOENT}[seed%4]
			if fault == syscall.ENOENT { // the disk has vanished; before the start there is nothing to vanish
				from += afterStart(t)
			}
			until := from + 1 + dice.IntN(30)
			d.Fail = func(op disktest.Op) error {
				if op.Number >= from && op.Number < until {
					return fault
				}
				return nil
			}
			f, _, err := OpenOn(t.Context(), "/var/lib/cton/state", d, options())
			if err != nil { // the first operations have failed
				d.Fail = nil
				f, _ = mustOpen(t, d)
			}
			h := newHistory(seed)
			h.play(t, f, 40)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if status := f.Status(); status.Error != "" || status.Written.IsZero() {
				t.Fatalf("seed %d: status %+v", seed, status)
			}
			for job := range h.put {
				h.written[job] = h.put[job]
			}
			d.Reboot(disktest.PowerCut)
			f.Close()
			f, problems := mustOpen(t, d)
			if h.check(t, f); len(problems) > 0 {
				t.Fatalf("seed %d: %v", seed, problems)
			}
			f.Close()
		})
	}
}

// afterStart returns how many operations it takes until the first record is on disk.
func afterStart(t *testing.T) int {
	d := disktest.New(1)
	f, _ := mustOpen(t, d)
	<-f.Append("job", nil).Done()
	ops := d.Ops()
	f.Close()
	return ops
}

// TestVanished checks what happens when the directory of the state vanishes and comes back. In the meantime, there is either another
// directory in its place or none. Nothing is written to the other directory, and the status says why. Afterwards, all records are in the
// state, in order, and the state is locked.
func TestVanished(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, mountPoint := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "data")
			path, o := filepath.Join(dir, "state"), Options{Fold: join, Log: slog.New(slog.DiscardHandler), Shared: shared}
			f, _, err := Open(t.Context(), path, o)
			if err != nil {
				t.Fatal(err)
			}
			<-f.Append("job", []byte("1;")).Done()
			f.Loaded()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.Rename(dir, dir+".away"))
			if mountPoint {
				must(os.Mkdir(dir, 0o700))
			}
			w := f.Append("job", []byte("2;"))
			f.Flush()
			f.Flush()
			if s := f.Status(); w.isWritten() || s.Failed < 2 || !strings.Contains(s.Error, path+": the file has vanished: was its directory removed") {
				t.Errorf("shared %v, mount point %v: written %v, status %+v", shared, mountPoint, w.isWritten(), s)
			}
			if records, err := f.Records("other"); err == nil {
				t.Errorf("shared %v, mount point %v: records %q without an error", shared, mountPoint, records)
			}
			if f.compact() == nil {
				t.Error("folded what is not there")
			}
			if here, _ := filepath.Glob(path + ".journal*"); len(here) > 0 {
				t.Errorf("shared %v, mount point %v: written to another directory: %q", shared, mountPoint, here)
			}
			must(os.RemoveAll(dir))
			must(os.Rename(dir+".away", dir))
			f.Flush()
			<-w.Done()
			<-f.Append("job", []byte("3;")).Done()
			if err := durable.NewDir(dir).Lock("state.lock"); !IsHeld(err) {
				t.Errorf("shared %v, mount point %v: it is not locked: %v", shared, mountPoint, err)
			}
			f.Close()
			sections, damage, err := Read(path)
			if got := string(bytes.Join(sections["job"].Records, nil)); got != "1;2;3;" || err != nil || len(damage) > 0 {
				t.Errorf("shared %v, mount point %v: got %q, %v, %v", shared, mountPoint, got, damage, err)
			}
		}
	}
}

// TestFull checks that a full disk only delays a record, and that the status says why it waits.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		f, _ := mustOpen(t, d)
		first := f.Append("job", []byte("1;"))
		<-first.Done()
		d.Change(func() { d.Capacity = 1 })
		second := f.Append("job", []byte("2;"))
		time.Sleep(time.Minute)
		select {
		case <-second.Done():
			t.Error("a record is written to a full disk")
		default:
		}
		if s := f.Status(); s.Failed < 5 || !strings.HasPrefix(s.Error, "write the journal of the state file /var/lib/cton/state: ") || !strings.HasSuffix(s.Error, "no space left on device") {
			t.Errorf("status %+v", s)
		}
		d.Change(func() { d.Capacity = 0 })
		time.Sleep(lastPause)
		<-second.Done()
		f.Close()
		f, _ = mustOpen(t, d)
		if got := string(bytes.Join(mustRecords(t, f, "job"), nil)); got != "1;2;" {
			t.Errorf("got %q", got)
		}
		f.Close()
	})
}

// TestTakenBack checks which attempts to write a record the record's condition counts. It counts those attempts after which the record is
// perhaps on disk. Attempts for which the disk was full do not count. An attempt whose sync has failed counts, and so does the attempt that
// has succeeded.
func TestTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		f, _ := mustOpen(t, d)
		<-f.Append("job", []byte("1;")).Done()
		d.Change(func() { d.Capacity = 1 })
		var asked, may atomic.Int64
		when := Condition{May: func() bool { asked.Add(1); may.Add(1); return true }, TakeBack: func() { may.Add(-1) }}
		w := f.AppendIf(when, "term", []byte("2"))
		time.Sleep(500 * time.Millisecond)
		if asked.Load() != 1 || may.Load() != 0 {
			t.Errorf("asked %d times; after a write to a full disk, %d attempts count", asked.Load(), may.Load())
		}
		failed := false
		d.Change(func() {
			d.Capacity = 0
			d.Fail = func(op disktest.Op) error {
				if failed || op.Kind != "sync" {
					return nil
				}
				failed = true
				return syscall.EIO
			}
		})
		<-w.Done()
		if n := may.Load(); n != 2 || !failed {
			t.Errorf("%d attempts count, want the one whose sync has failed and the last one", n)
		}
		f.Close()
	})
}

// TestOneSync checks that records which come together share a sync. This includes records of AppendLazily.
func TestOneSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, syncs := disktest.New(1), new(atomic.Int64)
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "sync" {
				syncs.Add(1)
			}
			return nil
		}
		f, _ := mustOpen(t, d)
		d.Change(func() { d.Delay = time.Second })
		var all []*Write
		for i := range 100 {
			all = append(all, f.Append(fmt.Sprint("job", i), []byte("x")))
		}
		for _, w := range all {
			<-w.Done()
		}
		if n := syncs.Swap(0); n > 3 { // of the snapshot, of the first record, and of the others
			t.Errorf("%d syncs for 100 records", n)
		}
		for range 100 {
			f.AppendLazily("job", []byte("y"))
		}
		time.Sleep(lazyPause + 10*time.Second)
		if n := syncs.Load(); n != 1 || f.Status().Error != "" {
			t.Errorf("%d syncs for 100 lazy records", n)
		}
		f.Close()
	})
}

// written returns a disk with a snapshot of three jobs, and the content of the snapshot's file.
func written(t *testing.T) (*disktest.Disk, []byte) {
	t.Helper()
	d := disktest.New(1)
	f, _ := mustOpen(t, d)
	for _, job := range []string{"a", "b", "c"} {
		<-f.Append(job, []byte("the state of "+job)).Done()
	}
	if err := f.compact(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if names := d.Names(); !slices.Equal(names, []string{"state"}) {
		t.Fatalf("files are %q", names)
	}
	return d, d.Content("state")
}

// TestDamage flips each byte of a snapshot and cuts it at each place. Each time, the agent must start, and the damaged file must be set
// aside as it is. A damaged section must affect only its own job.
func TestDamage(t *testing.T) {
	_, whole := written(t)
	sections := len(whole) - 3*len("the state of a")
	for at := range 2 * len(whole) {
		bad := slices.Clone(whole)
		if at < len(whole) {
			bad[at] ^= 0x10
		} else {
			bad = bad[:at-len(whole)]
		}
		want := 0
		switch cut := at - len(whole); {
		case at < len(whole) && at >= sections:
			want = 2
		case cut >= sections:
			want = (cut - sections) / len("the state of a")
		}
		d := disktest.New(1)
		d.Put("state", bad)
		checkDamage(t, d, bad, want)
		if t.Failed() {
			t.Fatalf("byte %d", at)
		}
	}
}

// checkDamage opens a damaged file of three jobs. The argument "want" is the number of jobs whose state must be whole. The other jobs must
// have no state.
func checkDamage(t *testing.T, d *disktest.Disk, bad []byte, want int) {
	f, problems := mustOpen(t, d)
	kept := 0
	for _, job := range []string{"a", "b", "c"} {
		if s := mustRecords(t, f, job); len(s) == 1 && string(s[0]) == "the state of "+job {
			kept++
		} else if s != nil {
			t.Errorf("job %s has %q", job, s)
		}
	}
	if kept != want || len(problems) == 0 || len(problems) > 3 {
		t.Fatalf("%d jobs are kept, want %d; problems: %v", kept, want, problems)
	}
	text := problems[0].Error()
	_, name, _ := strings.Cut(text, "set aside as /var/lib/cton/")
	name, _, _ = strings.Cut(name, ",")
	if aside := d.Content(name); aside == nil || string(aside) != string(bad) || strings.Contains(text, "\n") {
		t.Errorf("files are %q; the problem is %s", d.Names(), text)
	}
	f.Close()
	again, problems := mustOpen(t, d)
	if len(problems) > 0 || len(again.records) != kept {
		t.Errorf("the next start has %d jobs; problems: %v", len(again.records), problems)
	}
	again.Close()
}

// TestDamagedJournal flips each byte of a journal of three records. The undamaged records must be read. A journal with damage before its
// last record must be set aside and reported. Damage in the last record is not reported, because the end of a journal can be torn.
func TestDamagedJournal(t *testing.T) {
	d := disktest.New(1)
	f, _ := mustOpen(t, d)
	for _, job := range []string{"a", "b", "c"} {
		<-f.Append(job, []byte("the state of "+job)).Done()
	}
	f.Close()
	whole, snapshot := d.Content("state.journal-1"), d.Content("state")
	entry := (len(whole) - len(journalHead(1))) / 3
	for at := len(journalHead(1)); at < len(whole); at++ {
		bad := slices.Clone(whole)
		bad[at] ^= 0x10
		d := disktest.New(1)
		d.Put("state", snapshot)
		d.Put("state.journal-1", bad)
		f, problems := mustOpen(t, d)
		number := (at - len(journalHead(1))) / entry // of the damaged record
		for i, job := range []string{"a", "b", "c"} {
			if got := len(mustRecords(t, f, job)); got != 1 && i != number || got != 0 && i == number {
				t.Fatalf("byte %d: job %s has %d records", at, job, got)
			}
		}
		if len(problems) != 1 && number < 2 || len(problems) != 0 && number == 2 {
			t.Fatalf("byte %d: %v", at, problems)
		}
		if number < 2 && !strings.Contains(problems[0].Error(), fmt.Sprintf("read the state journal /var/lib/cton/state.journal-1: %d bytes are damaged; it is set aside as ", entry)) {
			t.Fatalf("byte %d: %v", at, problems)
		}
		w := f.Append("a", []byte("more"))
		<-w.Done()
		f.Close()
		f, problems = mustOpen(t, d)
		if got := string(bytes.Join(mustRecords(t, f, "a"), nil)); !strings.HasSuffix(got, "more") || len(problems) > 0 {
			t.Fatalf("byte %d: the next start has %q; problems: %v", at, got, problems)
		}
		f.Close()
	}
}

// TestForeignFile checks which problem is reported if a file is not a state file.
func TestForeignFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "it is not a state file of cton",
		"#!/bin/sh\n":               "it is not a state file of cton",
		"cton state 1 00000000\n{}": "its beginning is damaged",
		"cton state 0 00000000\n{}": "its beginning is damaged",
	} {
		d := disktest.New(1)
		d.Put("state", []byte(text))
		f, problems := mustOpen(t, d)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "read the state file /var/lib/cton/state: "+want+"; it is set aside as ") {
			t.Errorf("%q: %v", text, problems)
		}
		f.Close()
	}
}

// TestLaterVersion checks files of a later version. They stay as they are, with their names. Open and Read return an error that says what
// to do.
func TestLaterVersion(t *testing.T) {
	for name, text := range map[string]string{
		"state":           "cton state 3 and whatever follows\x00\xff",
		"state.journal-7": "cton journal 2 7\nand whatever follows\x00\xff",
	} {
		d, snapshot := written(t)
		d.Put(name, []byte(text))
		names := d.Names()
		_, problems, err := OpenOn(t.Context(), "/var/lib/cton/state", d, options())
		if _, ok := errors.AsType[*VersionError](err); !ok || len(problems) > 0 || !strings.HasPrefix(err.Error(), "read the state file /var/lib/cton/state: ") ||
			!strings.HasSuffix(err.Error(), "start the later cton that wrote it, or move the file away to start all jobs without state") {
			t.Errorf("Open: problems %v, error %v", problems, err)
		}
		if !slices.Equal(d.Names(), names) || string(d.Content(name)) != text {
			t.Errorf("files are %q; %s holds %q", d.Names(), name, d.Content(name))
		}
		if err := d.Lock("state.lock"); err != nil {
			t.Errorf("after Open has failed: %v", err)
		}
		path := filepath.Join(t.TempDir(), "state")
		err = os.WriteFile(path, snapshot, 0o600)
		if err := errors.Join(err, os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path); err == nil {
			t.Error("Read returns no error")
		}
	}
}

// TestRemoved checks that a journal is not used if its snapshot was removed. People remove the snapshot when they want to start again.
func TestRemoved(t *testing.T) {
	d := disktest.New(1)
	f, _ := mustOpen(t, d)
	<-f.Append("a", []byte("1;")).Done()
	f.Close()
	if err := d.Remove("state"); err != nil {
		t.Fatal(err)
	}
	f, problems := mustOpen(t, d)
	if len(mustRecords(t, f, "a")) > 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), "is missing (was it deleted?), though its journal state.journal-1 exists; it is set aside as /var/lib/cton/state.journal-1.damaged-") {
		t.Errorf("records %q, problems %v", mustRecords(t, f, "a"), problems)
	}
	<-f.Append("a", []byte("2;")).Done()
	f.Close()
	f, problems = mustOpen(t, d)
	if got := string(bytes.Join(mustRecords(t, f, "a"), nil)); got != "2;" || len(problems) > 0 {
		t.Errorf("records %q, problems %v", got, problems)
	}
	f.Close()
}

// TestUnreadable checks files which cannot be read. They are left as they are, and Open returns the reason.
func TestUnreadable(t *testing.T) {
	for _, failing := range []string{"state", "state.journal-2"} {
		d, snapshot := written(t)
		f, _ := mustOpen(t, d)
		<-f.Append("a", []byte("more")).Done()
		f.Close()
		names := d.Names()
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "read" && op.Name == failing {
				return syscall.EACCES
			}
			return nil
		}
		if _, problems, err := OpenOn(t.Context(), "/var/lib/cton/state", d, options()); !errors.Is(err, syscall.EACCES) || len(problems) > 0 {
			t.Fatalf("%s: problems %v, error %v", failing, problems, err)
		}
		if !slices.Equal(d.Names(), names) || !bytes.Equal(d.Content("state"), snapshot) {
			t.Errorf("%s: files are %q", failing, d.Names())
		}
		d.Fail = nil
		f, _ = mustOpen(t, d)
		if got := string(bytes.Join(mustRecords(t, f, "a"), nil)); got != "the state of amore" {
			t.Errorf("%s: then %q is read", failing, got)
		}
		f.Close()
	}
}

// TestVersion1 checks a file which the build of the first version has written. The file is read, and is at once written in the current
// version. agent/testdata/command/state-version-1.txtar shows what its sections mean.
func TestVersion1(t *testing.T) {
	text, err := os.ReadFile("testdata/version-1/state")
	if err != nil {
		t.Fatal(err)
	}
	d := disktest.New(1)
	d.Put("state", text)
	for range 2 {
		f, problems := mustOpen(t, d)
		if len(problems) > 0 || len(f.records) != 2 {
			t.Fatalf("%d jobs; problems: %v", len(f.records), problems)
		}
		for job, size := range map[string]int{"hourly": 403, "oncall": 2485} {
			s := f.records[job]
			if len(s.Records) != 1 || len(s.Records[0]) != size || !strings.HasPrefix(string(s.Records[0]), `{"last_success":"2026-11-29T13:21:12.`) {
				t.Errorf("job %s has %.60q", job, s.Records)
			}
			if saved := s.Saved.Format(time.RFC3339Nano); saved != "2026-11-29T13:21:12.481Z" {
				t.Errorf("job %s was saved at %s", job, saved)
			}
		}
		f.Close()
		if !strings.HasPrefix(string(d.Content("state")), "cton state 2 ") {
			t.Errorf("the file is %.40q", d.Content("state"))
		}
	}
}

// TestCompact checks that journals do not grow without end, and that the state can be read while the journals are folded.
func TestCompact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		o := options()
		o.Fold = func(_ string, records [][]byte) ([]byte, error) { return records[len(records)-1], nil }
		f, _, err := OpenOn(t.Context(), "/var/lib/cton/state", d, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			<-f.Append("job", append(bytes.Repeat([]byte("x"), 10_000), fmt.Sprint(i)...)).Done()
			synctest.Wait()
		}
		size := 0
		for _, name := range d.Names() {
			size += len(d.Content(name))
		}
		if size > 3*minCompact {
			t.Errorf("%d bytes in %q", size, d.Names())
		}
		f.Loaded()
		if got := mustRecords(t, f, "job"); !bytes.HasSuffix(got[len(got)-1], []byte("x199")) {
			t.Errorf("got %.60q", got)
		}
		f.Close()
		if sections, damage, err := readAll(d, "state"); err != nil || len(damage) > 0 || len(sections) != 1 {
			t.Errorf("read: %v, %v, %v", sections, damage, err)
		}
	})
}

// TestFoldedToNothing checks a name whose records are folded to nothing. The name is not in the new snapshot, and it can come back.
func TestFoldedToNothing(t *testing.T) {
	d := disktest.New(1)
	o := options()
	o.Fold = func(name string, records [][]byte) ([]byte, error) {
		if name == "gone" {
			return nil, nil
		}
		return join(name, records)
	}
	f, _, err := OpenOn(t.Context(), "/var/lib/cton/state", d, o)
	if err != nil {
		t.Fatal(err)
	}
	f.Append("gone", []byte("1"))
	<-f.Append("job", []byte("2")).Done()
	f.compactAndLog()
	if sections, _, err := readAll(d, "state"); err != nil || len(sections) != 1 || len(sections["job"].Records) != 1 {
		t.Errorf("after folding there is %v, %v", sections, err)
	}
	<-f.Append("gone", []byte("3")).Done()
	f.Close()
	if sections, _, err := readAll(d, "state"); err != nil || string(bytes.Join(sections["gone"].Records, nil)) != "3" {
		t.Errorf("later there is %v, %v", sections, err)
	}
}

// TestReadBesideOldJournal checks a journal that was merged into the snapshot but not removed yet. Its records are not read twice.
func TestReadBesideOldJournal(t *testing.T) {
	d := disktest.New(1)
	o := options()
	o.Fold = func(_ string, records [][]byte) ([]byte, error) { return bytes.Join(records, nil), nil }
	f, _, err := OpenOn(t.Context(), "/var/lib/cton/state", d, o)
	if err != nil {
		t.Fatal(err)
	}
	<-f.Append("job", []byte("1")).Done()
	old := bytes.Clone(d.Content("state.journal-1"))
	f.compactAndLog()
	<-f.Append("job", []byte("2")).Done()
	f.Close()
	d.Put("state.journal-1", old)
	sections, _, err := readAll(d, "state")
	if got := string(bytes.Join(sections["job"].Records, nil)); err != nil || got != "12" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestLock checks that two agents do not have the same state open at the same time: the second agent waits for the first to end.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state")
	synctest.Test(t, func(t *testing.T) {
		f, problems, err := Open(t.Context(), path, options())
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		_, _, err = Open(t.Context(), path, options())
		want := fmt.Sprintf("open the state file %s: in use by process %d: stop that process, or give each agent its own state_file", path, os.Getpid())
		if _, held := errors.AsType[*durable.HeldError](err); !held || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Open(ctx, path, options()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that ends: %v", err)
		}
		<-f.Append("a", []byte("1")).Done()
		time.AfterFunc(3*time.Second, f.Close)
		next, problems, err := Open(t.Context(), path, options())
		if err != nil || len(problems) > 0 || string(bytes.Join(mustRecords(t, next, "a"), nil)) != "1" {
			t.Fatal(problems, err)
		}
		next.Close()
		sections, damage, err := Read(path)
		if err != nil || len(damage) > 0 || string(sections["a"].Records[0]) != "1" {
			t.Errorf("read: %v, %v, %v", sections, damage, err)
		}
	})
}

// FuzzParse checks that any bytes give either sections, or an error of one line.
func FuzzParse(f *testing.F) {
	d := disktest.New(1)
	if _, err := writeSnapshot(d, "state", 3, map[string]Section{"a": {Records: [][]byte{[]byte("x"), []byte("yz")}}, "b": {}}); err != nil {
		f.Fatal(err)
	}
	f.Add(d.Content("state"))
	for _, line := range []string{
		`{"jobs":[{"name":"a","bytes":-1},{"name":"a","bytes":99999999999}]}`,
		`{"jobs":[{"name":"a","bytes":2,"crc":"x","records":[-1,3]}]}`,
	} {
		f.Add(fmt.Appendf(nil, "cton state 2 %s\n%s\n", checksum([]byte(line)), line))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q", err)
			}
			return
		}
		size := 0
		for _, section := range s.sections {
			size += section.size()
		}
		if size > len(text) {
			t.Errorf("%d bytes of %d are sections, damage %v", size, len(text), s.damage)
		}
	})
}

// FuzzParseJournal checks that any bytes can be parsed: the records, the whole part and the damaged bytes are not larger than the text,
// and a record that is appended to whole text is read.
func FuzzParseJournal(f *testing.F) {
	text := journalHead(7)
	for _, name := range []string{"a", "job", ""} {
		e := entry{name, time.UnixMilli(1_800_000_000_000), []byte("the state of " + name)}
		text = appendBatch(text, []entry{e, e})
	}
	f.Add(text)
	f.Add(text[:len(text)-3])
	f.Add(append(slices.Clone(text), text[20:]...))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, whole, damaged, err := parseJournal(text, 7)
		size := 0
		for _, e := range entries {
			size += len(e.name) + len(e.data)
		}
		if err == nil && (whole > len(text) || damaged < 0 || size+damaged > len(text)) {
			t.Errorf("%d of %d bytes are whole, %d damaged, %d records of %d bytes", whole, len(text), damaged, len(entries), size)
		}
		if rest, _, _, _ := parseJournal(append(slices.Clone(text), appendBatch(nil, []entry{{"last", time.Now(), []byte("x")}})...), 7); err == nil && whole == len(text) && len(rest) != len(entries)+1 {
			t.Errorf("a record that was appended is not read: %d records, then %d", len(entries), len(rest))
		}
	})
}

// TestReadOfAMissingFile checks that reading a state which does not exist yet is no error.
func TestReadOfAMissingFile(t *testing.T) {
	sections, damage, err := Read(filepath.Join(t.TempDir(), "nowhere", "state"))
	if err != nil || len(sections)+len(damage) > 0 || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v, %v", sections, damage, err)
	}
}

func mustRecords(t *testing.T, f *File, name string) [][]byte {
	t.Helper()
	records, err := f.Records(name)
	if err != nil {
		t.Error(err)
	}
	return records
}
