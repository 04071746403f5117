package wrap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// played records a run as a process would: it opens the history in dir, which earlier runs may have written. It returns the history.
func played(t *testing.T, dir string, r Result) *History {
	t.Helper()
	h := NewHistory(dir, "a/b")
	if err := h.Begin(r.Start, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := h.End(r, 1); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHistoryGoesOn(t *testing.T) {
	dir, at := t.TempDir(), time.UnixMilli(1_700_000_000_000)
	took := func(d time.Duration, code int) Result { return Result{Start: at, End: at.Add(d), Code: code} }
	first := played(t, dir, took(2*time.Second, 0))
	played(t, dir, took(time.Hour, 137))
	h := played(t, dir, Result{Start: at, End: at.Add(time.Second), Code: timedOut, TimedOut: true})
	if h.Runs[success] != 1 || h.Runs[failure] != 1 || h.Runs[timeout] != 1 || h.Runs[lost] != 0 || h.Retries != 3 || h.Sum != 3603 {
		t.Errorf("the totals are %+v", h.Totals)
	}
	if h.Created != first.Created || h.Succeeded != at.Add(2*time.Second).UnixMilli() || h.Last.Success || h.Last.Code != timedOut {
		t.Errorf("the times are %+v", h.Totals)
	}
	// A bound is the largest value of its bucket. Here 1 s and 3600 s are bounds, and 2 s is in the bucket up to 5 s.
	for bucket, n := range map[int]uint64{1: 1, 2: 1, 7: 1} {
		if h.Counts[bucket] != n {
			t.Errorf("bucket %d has %d, want %d: %v", bucket, h.Counts[bucket], n, h.Counts)
		}
	}
}

// TestHistoryAtOnce checks that runs of one command at the same time lose no count.
func TestHistoryAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	const runs = 8
	for range runs {
		wg.Go(func() { played(t, dir, Result{}) })
	}
	wg.Wait()
	h := NewHistory(dir, "a/b")
	if _, err := h.Stamp(time.Now()); err != nil {
		t.Fatal(err)
	}
	if h.Runs[success] != runs || h.Runs[lost] != 0 || len(h.Open) != 0 {
		t.Errorf("the totals are %+v", h.Totals)
	}
	if names, _ := filepath.Glob(filepath.Join(h.path, runPrefix+"*")); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

// TestHistoryLost checks a run whose process has ended without calling End. It is counted once as lost. A run that still goes on is not
// counted as lost.
func TestHistoryLost(t *testing.T) {
	dir := t.TempDir()
	played(t, dir, Result{})
	killed, running := NewHistory(dir, "a/b"), NewHistory(dir, "a/b")
	for _, h := range []*History{killed, running} {
		if err := h.Begin(time.Now(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := killed.held.Unlock(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	for range 2 {
		h := NewHistory(dir, "a/b")
		if _, err := h.Stamp(time.Now()); err != nil {
			t.Fatal(err)
		}
		if h.Runs[lost] != 1 || len(h.Open) != 1 || h.Last.Success {
			t.Errorf("the totals are %+v", h.Totals)
		}
	}
	if err := running.End(Result{}, 0); err != nil || running.Runs[success] != 2 {
		t.Errorf("%v: the totals are %+v", err, running.Totals)
	}
}

// TestHistoryDamage checks what becomes of a record that cannot be used: a damaged record is set aside, and a record of a later version
// stays.
func TestHistoryDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		says   string
		stays  bool
	}{
		{"a flipped bit", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, "checksum", false},
		{"empty", func([]byte) []byte { return nil }, "not a record", false},
		{"a later version", func(b []byte) []byte { return bytes.Replace(b, []byte("cton-exec 1"), []byte("cton-exec 2"), 1) }, "later version", true},
	} {
		dir := t.TempDir()
		path := filepath.Join(played(t, dir, Result{}).path, recordFile)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := c.damage(text)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		h := NewHistory(dir, "a/b")
		err = h.Begin(time.Now(), time.Time{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.says)
		}
		if err := h.End(Result{}, 0); (err != nil) != c.stays {
			t.Errorf("%s: %v", c.name, err)
		}
		if h.Runs[success] != 1 || h.Last == nil {
			t.Errorf("%s: this run is not counted: %+v", c.name, h.Totals)
		}
		after, err := os.ReadFile(path)
		if err != nil || bytes.Equal(after, damaged) != c.stays {
			t.Errorf("%s: %v, the record is %q", c.name, err, after)
		}
		aside, _ := filepath.Glob(path + ".damaged-*")
		if (len(aside) == 1) == c.stays {
			t.Errorf("%s: set aside are %q", c.name, aside)
		}
	}
}

// TestStampsAscend checks that the samples of a command are in order, even if several processes make them. They are also in order if the
// clock is set back, but not if it is set back by much.
func TestStampsAscend(t *testing.T) {
	dir, now := t.TempDir(), time.UnixMilli(1_700_000_000_000)
	for i, c := range []struct{ at, want time.Duration }{
		{0, 0},
		{0, time.Millisecond},
		{time.Second, time.Second},
		{-time.Minute, time.Second + time.Millisecond},
		{-time.Hour, -time.Hour},
	} {
		at, err := NewHistory(dir, "x").Stamp(now.Add(c.at))
		if err != nil || !at.Equal(now.Add(c.want)) {
			t.Errorf("sample %d: %v after the first, want %s (%v)", i, at.Sub(now), c.want, err)
		}
	}
}

// TestHistoryWithoutDisk checks a history whose directory cannot be used. The history is lost only for later processes.
func TestHistoryWithoutDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := NewHistory(dir, "x")
	if err := errors.Join(h.Begin(time.Now(), time.Time{})); err == nil {
		t.Error("no error")
	}
	if err := h.End(Result{}, 0); err == nil || h.Runs[success] != 1 {
		t.Errorf("%v: %+v", err, h.Totals)
	}
	if _, held := errors.AsType[*durable.HeldError](h.End(Result{}, 0)); held {
		t.Error("it is said to be in use")
	}
}

func FuzzParse(f *testing.F) {
	h := &History{Totals: newTotals(time.Now())}
	var text bytes.Buffer
	if err := h.write(&text); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		totals, err := parse(text)
		if err == nil && (len(totals.Counts) != len(totals.Bounds)+1 || totals.Runs == nil) {
			t.Errorf("%+v", totals)
		}
	})
}
