package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

func mustOpen(t *testing.T, d *disktest.Disk) (*File, []error) {
	t.Helper()
	f, problems, err := open(t.Context(), "/var/lib/cton/state", d)
	if err != nil {
		t.Fatal(err)
	}
	return f, problems
}

// history is what jobs have put and what was written. The state of a job is its name and a number, which grows with each Put.
type history struct {
	dice    *rand.Rand
	put     map[string]int // the last number of each job
	written map[string]int // the numbers as of the last successful Write
}

func newHistory(seed uint64) *history {
	return &history{dice: rand.New(rand.NewPCG(seed, 2)), put: map[string]int{}}
}

func (h *history) play(f *File, steps int) {
	for range steps {
		job := fmt.Sprint("job", h.dice.IntN(3))
		h.put[job]++
		f.Put(job, fmt.Appendf(nil, "%s %d", job, h.put[job]))
		if h.dice.IntN(2) == 0 && f.Write() == nil {
			h.written = maps.Clone(h.put)
		}
	}
}

// check holds that each job has a state that it has put, not older than the last one written.
func (h *history) check(t *testing.T, f *File) {
	t.Helper()
	for job, last := range h.put {
		number := 0
		if text := f.Section(job); text != nil {
			if n, err := fmt.Sscanf(string(text), job+" %d", &number); n != 1 || err != nil {
				t.Fatalf("%s has %q", job, text)
			}
		}
		if number < h.written[job] || number > last {
			t.Fatalf("%s has number %d; written was %d, put %d", job, number, h.written[job], last)
		}
	}
}

// TestCrash kills the process, or cuts the power, at each operation: the file is whole, and each job has a state that it has
// put, not older than the last one written.
func TestCrash(t *testing.T) {
	for _, how := range []disktest.Crash{disktest.Killed, disktest.PowerCut} {
		for stop := 1; ; stop++ {
			d := disktest.New(uint64(stop))
			f, _ := mustOpen(t, d)
			h := newHistory(uint64(stop))
			survived := d.Run(stop, func() { h.play(f, 30) })
			d.Reboot(how)
			f, problems := mustOpen(t, d)
			if len(problems) > 0 {
				t.Fatalf("operation %d: %v", stop, problems)
			}
			h.check(t, f)
			if survived {
				break
			}
		}
	}
}

// TestDiskFails lets the disk fail for some operations: what was written before stays, and what was put meanwhile is written
// once the disk works.
func TestDiskFails(t *testing.T) {
	for seed := range uint64(300) {
		dice, d := rand.New(rand.NewPCG(seed, 1)), disktest.New(seed)
		from := 1 + dice.IntN(80)
		until := from + 1 + dice.IntN(30)
		d.Fail = func(op disktest.Op) error {
			if op.Number >= from && op.Number < until {
				return syscall.ENOSPC
			}
			return nil
		}
		f, _ := mustOpen(t, d)
		h := newHistory(seed)
		h.play(f, 60)
		d.Fail = nil
		select {
		case <-f.Dirty():
			if err := f.Write(); err != nil {
				t.Fatal(err)
			}
			h.written = maps.Clone(h.put)
		default:
		}
		if !maps.Equal(h.written, h.put) {
			t.Fatalf("seed %d: Dirty does not yield, and not all of %v is written", seed, h.put)
		}
		if failed := f.Status().Failed; f.Status().Written.IsZero() || failed == 0 && d.Ops() > until && from > 3 {
			t.Errorf("seed %d: status %+v", seed, f.Status())
		}
		d.Reboot(disktest.PowerCut)
		f, problems := mustOpen(t, d)
		if h.check(t, f); len(problems) > 0 {
			t.Fatalf("seed %d: %v", seed, problems)
		}
	}
}

// written returns a disk with a state file of three jobs, and the file's content.
func written(t *testing.T) (*disktest.Disk, []byte) {
	t.Helper()
	d := disktest.New(1)
	f, _ := mustOpen(t, d)
	for _, job := range []string{"a", "b", "c"} {
		f.Put(job, []byte("the state of "+job))
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	return d, d.Content("state")
}

// TestDamage flips each byte and cuts the file at each place: the agent starts, the damaged file is set aside as it is, and
// damage of a section is damage for its job alone.
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

// checkDamage opens a damaged file of three jobs, of which want are whole.
func checkDamage(t *testing.T, d *disktest.Disk, bad []byte, want int) {
	f, problems := mustOpen(t, d)
	kept := 0
	for _, job := range []string{"a", "b", "c"} {
		if s := f.Section(job); string(s) == "the state of "+job {
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
	if again, problems := mustOpen(t, d); len(problems) > 0 || len(again.sections) != kept {
		t.Errorf("the next start has %d jobs; problems: %v", len(again.sections), problems)
	}
}

// TestForeignFile holds what the problem is with a file that is not a state file.
func TestForeignFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "it is not a state file of cton",
		"#!/bin/sh\n":               "it is not a state file of cton",
		"cton state 1 00000000\n{}": "its beginning is damaged",
		"cton state 0 00000000\n{}": "its beginning is damaged",
	} {
		d := disktest.New(1)
		d.Put("state", []byte(text))
		_, problems := mustOpen(t, d)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "read the state file /var/lib/cton/state: "+want+"; it is set aside as ") {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

// TestLaterVersion holds that a file of a later version stays as it is, with its name, and that Open and Read return an error
// that says what to do.
func TestLaterVersion(t *testing.T) {
	const text = "cton state 2 and whatever follows\x00\xff"
	d := disktest.New(1)
	d.Put("state", []byte(text))
	_, problems, err := open(t.Context(), "/var/lib/cton/state", d)
	want := "read the state file /var/lib/cton/state: it has version 2 of the format, and this cton reads versions up to 1: " +
		"start the later cton that wrote it, or move the file away to start all jobs without state"
	if later, ok := errors.AsType[*VersionError](err); !ok || later.Version != 2 || err.Error() != want || len(problems) > 0 {
		t.Errorf("Open: problems %v, error %v, want %s", problems, err, want)
	}
	if names := d.Names(); !slices.Equal(names, []string{"state"}) || string(d.Content("state")) != text {
		t.Errorf("files are %q; state holds %q", names, d.Content("state"))
	}
	if err := d.Lock("state.lock"); err != nil {
		t.Errorf("after Open has failed: %v", err)
	}
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(path); err == nil || err.Error() != strings.Replace(want, "/var/lib/cton/state", path, 1) {
		t.Errorf("Read: %v", err)
	}
}

// TestVersion1 reads a file that the first version's build has written. agent/testdata/command/state-version-1.txtar holds what
// its sections mean.
func TestVersion1(t *testing.T) {
	text, err := os.ReadFile("testdata/version-1/state")
	if err != nil {
		t.Fatal(err)
	}
	d := disktest.New(1)
	d.Put("state", text)
	f, problems := mustOpen(t, d)
	if len(problems) > 0 || len(f.sections) != 2 {
		t.Fatalf("%d jobs; problems: %v", len(f.sections), problems)
	}
	for job, size := range map[string]int{"hourly": 403, "oncall": 2485} {
		s := f.sections[job]
		if len(s.Data) != size || !strings.HasPrefix(string(s.Data), `{"last_success":"2026-11-29T13:21:12.`) {
			t.Errorf("job %s has %d bytes: %.60q", job, len(s.Data), s.Data)
		}
		if saved := s.Saved.Format(time.RFC3339Nano); saved != "2026-11-29T13:21:12.481Z" {
			t.Errorf("job %s was saved at %s", job, saved)
		}
	}
}

// TestUnreadable holds that a file that can be neither read nor set aside is not overwritten, and that it is set aside as soon
// as that is possible, unless it has a later version.
func TestUnreadable(t *testing.T) {
	_, whole := written(t)
	for _, later := range []bool{false, true} {
		text := whole
		if later {
			text = []byte("cton state 2 …")
		}
		d := disktest.New(1)
		d.Put("state", text)
		d.Fail = func(disktest.Op) error { return syscall.EIO }
		f, problems := mustOpen(t, d)
		if len(problems) != 2 { // of the file and of the lock
			t.Fatal(problems)
		}
		f.Put("a", []byte("new"))
		if f.Write() == nil || f.Status().Failed != 1 {
			t.Fatalf("status %+v", f.Status())
		}
		d.Fail = nil
		err := f.Write()
		if _, refused := errors.AsType[*VersionError](err); later != refused || !later && err != nil {
			t.Errorf("later version %t: %v", later, err)
		}
		var kept []string
		for _, name := range d.Names() {
			if string(d.Content(name)) == string(text) {
				kept = append(kept, name)
			}
		}
		if len(kept) != 1 || strings.HasPrefix(kept[0], "state.damaged-") == later {
			t.Errorf("later version %t: the file is kept as %q of %q", later, kept, d.Names())
		}
	}
}

// TestLock holds that two agents do not open one file, and that the second waits for the first to end.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state")
	synctest.Test(t, func(t *testing.T) {
		f, problems, err := Open(t.Context(), path)
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		_, _, err = Open(t.Context(), path)
		want := fmt.Sprintf("open the state file %s: in use by process %d: stop that process, or give each agent its own state_file", path, os.Getpid())
		if _, held := errors.AsType[*durable.HeldError](err); !held || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Open(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that ends: %v", err)
		}
		f.Put("a", []byte("1"))
		if err := f.Write(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, f.Close)
		next, problems, err := Open(t.Context(), path)
		if err != nil || len(problems) > 0 || string(next.Section("a")) != "1" {
			t.Fatal(problems, err)
		}
		next.Close()
		sections, damage, err := Read(path)
		if err != nil || len(damage) > 0 || string(sections["a"].Data) != "1" {
			t.Errorf("read: %v, %v, %v", sections, damage, err)
		}
	})
}

// FuzzParse holds that any bytes are sections, or an error of one line.
func FuzzParse(f *testing.F) {
	text, _, err := header(map[string]Section{"a": {Data: []byte("x")}, "b": {Data: []byte("y")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(text, "xy"...))
	line := `{"jobs":[{"name":"a","bytes":-1},{"name":"a","bytes":99999999999}]}`
	f.Add(fmt.Appendf(nil, "cton state 1 %s\n%s\n", checksum([]byte(line)), line))
	f.Fuzz(func(t *testing.T, text []byte) {
		sections, damage, err := parse(text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q", err)
		}
		size := 0
		for _, section := range sections {
			size += len(section.Data)
		}
		if size > len(text) || err != nil && len(sections)+len(damage) > 0 {
			t.Errorf("%d bytes of %d are sections, damage %v, error %v", size, len(text), damage, err)
		}
	})
}
