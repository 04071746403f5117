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
	"testing"
	"testing/synctest"
	"time"
)

func mustOpen(t *testing.T, d files) (*File, []error) {
	t.Helper()
	f, problems, err := open(t.Context(), "/var/lib/cton/state", d)
	if err != nil {
		t.Fatal(err)
	}
	return f, problems
}

// play is jobs that put their state tick by tick, and a writer. A job's state is the number of its tick.
type play struct {
	put     map[string]int // the last tick of each job
	written map[string]int // as of the last Write that was well
}

func (p *play) act(d *disk, f *File, steps int) (survived bool) {
	defer func() {
		if r := recover(); r != nil && r != (end{}) {
			panic(r)
		}
	}()
	for range steps {
		job := fmt.Sprint("job", d.dice.IntN(3))
		p.put[job]++
		f.Put(job, fmt.Appendf(nil, "%s %d", job, p.put[job]))
		if d.dice.IntN(2) == 0 && f.Write() == nil {
			p.written = maps.Clone(p.put)
		}
	}
	return true
}

// holds sees that each job's state is one of its own, no older than what was written.
func (p *play) holds(t *testing.T, f *File) {
	t.Helper()
	for job, last := range p.put {
		tick := 0
		if text := f.Section(job); text != nil {
			if n, err := fmt.Sscanf(string(text), job+" %d", &tick); n != 1 || err != nil {
				t.Fatalf("%s has %q", job, text)
			}
		}
		if tick < p.written[job] || tick > last {
			t.Fatalf("%s is at tick %d; written was %d, the last is %d", job, tick, p.written[job], last)
		}
	}
}

// TestCrash ends the process at each operation, with the power or without: the file is whole, and holds for each job a
// state that was there after one of its ticks, no older than the last one written.
func TestCrash(t *testing.T) {
	for _, power := range []bool{false, true} {
		for stop := 1; ; stop++ {
			d := newDisk(uint64(stop))
			f, _ := mustOpen(t, d)
			p := &play{put: map[string]int{}}
			d.stop = d.ops + stop
			survived := p.act(d, f, 30)
			d.reboot(power)
			f, problems := mustOpen(t, d)
			if len(problems) > 0 {
				t.Fatalf("op %d: %v", stop, problems)
			}
			p.holds(t, f)
			if survived {
				break
			}
		}
	}
}

// TestDiskFails has the disk fail for some operations: what was written before stays, and what was put meanwhile is
// written once the disk works.
func TestDiskFails(t *testing.T) {
	for seed := range uint64(300) {
		dice, d := rand.New(rand.NewPCG(seed, 1)), newDisk(seed)
		from := d.ops + 1 + dice.IntN(80)
		until := from + 1 + dice.IntN(30)
		d.fail = func() error {
			if d.ops >= from && d.ops < until {
				return errDisk
			}
			return nil
		}
		f, _ := mustOpen(t, d)
		p := &play{put: map[string]int{}}
		p.act(d, f, 60)
		d.fail = nil
		select {
		case <-f.Dirty():
			if err := f.Write(); err != nil {
				t.Fatal(err)
			}
			p.written = maps.Clone(p.put)
		default:
		}
		if !maps.Equal(p.written, p.put) {
			t.Fatalf("seed %d: nobody is told that %v is still to be written", seed, p.put)
		}
		if failed := f.Status().Failed; f.Status().Written.IsZero() || failed == 0 && d.ops > until && from > 3 {
			t.Errorf("seed %d: status %+v", seed, f.Status())
		}
		d.reboot(true)
		f, problems := mustOpen(t, d)
		if p.holds(t, f); len(problems) > 0 {
			t.Fatalf("seed %d: %v", seed, problems)
		}
	}
}

func written(t *testing.T) (*disk, []byte) {
	t.Helper()
	d := newDisk(1)
	f, _ := mustOpen(t, d)
	for _, job := range []string{"a", "b", "c"} {
		f.Put(job, []byte("the state of "+job))
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	return d, slices.Clone(d.names["state"].data)
}

// TestDamage flips each byte and cuts the file at each place: it never keeps the agent from starting, the damaged file is
// set aside as it is, and damage within a section costs its job alone.
func TestDamage(t *testing.T) {
	_, whole := written(t)
	sections := len(whole) - 3*len("the state of a")
	for at := range 2 * len(whole) {
		d, _ := written(t)
		bad := slices.Clone(whole)
		if at < len(whole) {
			bad[at] ^= 0x10
		} else {
			bad = bad[:at-len(whole)]
		}
		d.names["state"] = &inode{data: bad, synced: len(bad)}
		f, problems := mustOpen(t, d)
		kept := 0
		for _, job := range []string{"a", "b", "c"} {
			if s := f.Section(job); string(s) == "the state of "+job {
				kept++
			} else if s != nil {
				t.Fatalf("byte %d: job %s has %q", at, job, s)
			}
		}
		want := 0
		switch cut := at - len(whole); {
		case at < len(whole) && at >= sections:
			want = 2
		case cut >= sections:
			want = (cut - sections) / len("the state of a")
		}
		if kept != want || len(problems) == 0 || len(problems) > 3 {
			t.Fatalf("byte %d: %d jobs are kept, want %d; told is %v", at, kept, want, problems)
		}
		text := problems[0].Error()
		_, name, _ := strings.Cut(text, "set aside as /var/lib/cton/")
		name, _, _ = strings.Cut(name, ",")
		if i := d.names[name]; i == nil || string(i.data) != string(bad) || strings.Contains(text, "\n") {
			t.Fatalf("byte %d: set aside is %v; told is %s", at, slices.Sorted(maps.Keys(d.names)), text)
		}
		if again, problems := mustOpen(t, d); len(problems) > 0 || len(again.sections) != kept {
			t.Fatalf("byte %d: the next start has %d jobs, and tells %v", at, len(again.sections), problems)
		}
	}
}

// TestForeign says what a file is that is not ours, or not yet.
func TestForeign(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "it is none of cton's state files",
		"#!/bin/sh\n":               "it is none of cton's state files",
		"cton state 2 00000000\n{}": "it has version 2, which a later cton has written; this one knows 1",
		"cton state 1 00000000\n{}": "its beginning is damaged",
	} {
		d := newDisk(1)
		d.names["state"] = &inode{data: []byte(text), synced: len(text)}
		_, problems := mustOpen(t, d)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "read the state file /var/lib/cton/state: "+want+"; it is set aside as ") {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

// TestUnreadable holds that a file that can be neither read nor set aside is not overwritten unseen.
func TestUnreadable(t *testing.T) {
	d, whole := written(t)
	d.fail = func() error { return errDisk }
	f, problems := mustOpen(t, d)
	if len(problems) != 2 { // neither lock nor file
		t.Fatal(problems)
	}
	f.Put("a", []byte("new"))
	if f.Write() == nil || f.Status().Failed != 1 {
		t.Fatalf("status %+v", f.Status())
	}
	d.fail = nil
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	for name, i := range d.names {
		if strings.Contains(name, ".damaged-") && string(i.data) == string(whole) {
			return
		}
	}
	t.Errorf("there are only %v", slices.Sorted(maps.Keys(d.names)))
}

// TestLock holds that two agents do not get one file, and that the second waits for the first to end.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state")
	synctest.Test(t, func(t *testing.T) {
		f, problems, err := Open(t.Context(), path)
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		_, _, err = Open(t.Context(), path)
		want := fmt.Sprintf("open the state file %s: in use by process %d: stop that one, or give each its own state_file", path, os.Getpid())
		if !errors.Is(err, ErrInUse) || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Open(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped while it waits: %v", err)
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

// FuzzParse holds that whatever the bytes are, they are told to be wrong in a line, or are sections.
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
