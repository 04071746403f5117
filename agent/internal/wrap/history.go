package wrap

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// History is the record of the runs of one command. All processes that run this command share it. It is stored in a folder of the state
// directory. If the record cannot be stored, it is kept in memory. A method that cannot store the record returns an error, but has changed
// the values in memory.
type History struct {
	path string
	id   string // ID of this run
	held *durable.Dir
	Totals
}

// Totals is the stored content of a History. Times are in Unix milliseconds; 0 = never.
type Totals struct {
	Created int64             `json:"created"` // when the counts were zero
	Runs    map[string]uint64 `json:"runs"`    // number of runs by result
	Retries uint64            `json:"retries"`

	Bounds []float64 `json:"bounds"` // upper bounds of the buckets in Counts, in seconds
	Counts []uint64  `json:"counts"` // number of runs in each bucket of durations; the last bucket is above all bounds
	Sum    float64   `json:"sum"`    // sum of the durations, seconds

	Started   int64 `json:"started"` // start of the last run
	Succeeded int64 `json:"succeeded"`
	Next      int64 `json:"next"` // when the next run is expected
	Last      *Last `json:"last,omitempty"`

	Open   []string `json:"open,omitempty"` // IDs of the runs that have not ended
	Sample int64    `json:"sample"`         // time of the newest sample
}

// Last describes the last run that has ended.
type Last struct {
	Ended   int64   `json:"ended"`
	Success bool    `json:"success"`
	Code    int     `json:"code"`
	Seconds float64 `json:"seconds"`
	Memory  int64   `json:"memory"` // bytes
	User    float64 `json:"user"`   // seconds
	System  float64 `json:"system"` // seconds
}

// Results of runs.
const (
	success = "success"
	failure = "failure" // an exit code above 0, or a signal
	timeout = "timeout"
	lost    = "lost"    // the wrapper was killed, so the result of the command is not known
	skipped = "skipped" // another run had the lock
)

// bounds returns the upper bounds of the buckets for durations, in seconds. They range from a tenth of a second to a day.
func bounds() []float64 { return []float64{0.1, 1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 86400} }

const (
	recordFile = "record"
	lockFile   = "lock"
	runPrefix  = "run-"  // beginning of the name of a run's lock file
	maxRecord  = 1 << 20 // bytes
	maxOpen    = 1000    // runs at the same time; if there are more, the oldest are no longer counted as running
	lockWait   = 2500 * time.Millisecond
	maxAhead   = 10 * time.Minute // a Sample further ahead is ignored, because the clock must have been wrong
)

// NewHistory returns the history of a command. If the argument "dir" is empty, the history is kept only in memory.
func NewHistory(dir, name string) *History {
	h := &History{Totals: newTotals(time.Now())}
	if dir != "" {
		h.path = filepath.Join(dir, "exec", durable.FileName(name))
	}
	return h
}

func newTotals(now time.Time) Totals {
	runs := map[string]uint64{}
	for _, result := range []string{success, failure, timeout, lost, skipped} {
		runs[result] = 0
	}
	return Totals{Created: now.UnixMilli(), Runs: runs, Bounds: bounds(), Counts: make([]uint64, len(bounds())+1)}
}

// Begin notes the start of a run. If this process is killed, the next process counts the run as lost.
func (h *History) Begin(now, next time.Time) error {
	var opened error
	if h.path != "" {
		h.id = rand.Text()[:10]
		h.held = durable.NewDir(h.path)
		opened = errors.Join(h.held.Mkdir("."), h.held.Lock(runPrefix+h.id))
	}
	err := h.update(func() {
		h.Started, h.Next = now.UnixMilli(), milliseconds(next)
		if h.id != "" && opened == nil {
			h.Open = append(h.Open, h.id)
			h.Open = h.Open[max(0, len(h.Open)-maxOpen):]
		}
	})
	return errors.Join(opened, err)
}

// End notes the result of the run.
func (h *History) End(r Result, retries int) error {
	took := r.End.Sub(r.Start)
	err := h.update(func() {
		h.Open = slices.DeleteFunc(h.Open, func(id string) bool { return id == h.id })
		result := failure
		switch {
		case r.TimedOut:
			result = timeout
		case r.Code == 0:
			result = success
			h.Succeeded = r.End.UnixMilli()
		}
		h.Runs[result]++
		h.Retries += uint64(retries)
		bucket, _ := slices.BinarySearch(h.Bounds, took.Seconds())
		h.Counts[bucket]++
		h.Sum += took.Seconds()
		h.Last = &Last{
			Ended: r.End.UnixMilli(), Success: r.Code == 0, Code: r.Code, Seconds: took.Seconds(),
			Memory: r.MaxMemory, User: r.User.Seconds(), System: r.System.Seconds(),
		}
	})
	h.release()
	return err
}

// release removes the lock file of the run.
func (h *History) release() {
	if h.held == nil {
		return
	}
	_ = h.held.Remove(runPrefix + h.id) // if the file remains, it is not locked, and its run is not in the record
	_ = h.held.Unlock()                 // at the latest, the lock ends with the process
	h.held = nil
}

// Skip counts a run that was skipped because another run had the lock.
func (h *History) Skip(next time.Time) error {
	return h.update(func() {
		h.Runs[skipped]++
		h.Next = milliseconds(next)
	})
}

// Stamp returns the time for the next samples. It is later than the times of all earlier samples.
func (h *History) Stamp(now time.Time) (at time.Time, err error) {
	err = h.update(func() {
		ms := now.UnixMilli()
		if h.Sample >= ms && h.Sample < ms+maxAhead.Milliseconds() {
			ms = h.Sample + 1
		}
		h.Sample, at = ms, time.UnixMilli(ms)
	})
	return at, err
}

// update changes the record on disk. If the record cannot be read or locked, update changes only the values in memory.
func (h *History) update(change func()) error {
	if h.path == "" {
		change()
		return nil
	}
	dir := durable.NewDir(h.path)
	if err := errors.Join(dir.Mkdir("."), h.lock(dir)); err != nil {
		change()
		return fmt.Errorf("keep the runs of the command in %s: %w", h.path, err)
	}
	defer func() { _ = dir.Unlock() }()
	problem, usable := h.load(dir)
	if !usable {
		change()
		return fmt.Errorf("read the runs of the command in %s: %w", h.path, problem)
	}
	h.countLost()
	change()
	if err := durable.Replace(dir, recordFile, h.write); err != nil {
		problem = errors.Join(problem, fmt.Errorf("keep the runs of the command in %s: %w", h.path, err))
	}
	return problem
}

// lock locks the record. It waits for other runs of the command, which keep the lock only for some milliseconds.
func (h *History) lock(dir *durable.Dir) error {
	for deadline := time.Now().Add(lockWait); ; {
		err := dir.Lock(lockFile)
		if _, held := errors.AsType[*durable.HeldError](err); !held || time.Now().After(deadline) {
			if errors.Is(err, errors.ErrUnsupported) {
				return nil // this system has no locks: the user must not run two commands with the same name at once
			}
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// The format of the record is one line, followed by the record as JSON. The line has the name of the format, its version, and the CRC-32C
// (Castagnoli) of the text after the line.
const (
	magic   = "cton-exec "
	version = 1
)

func (h *History) write(w io.Writer) error {
	text, err := json.Marshal(h.Totals)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%d %08x\n%s", magic, version, durable.Checksum(text), text)
	return err
}

// errLater is the error for a record that was written by a later version of cton.
var errLater = errors.New("a later version of cton has written it")

// load reads the record. A damaged record is renamed, and the values in memory are used instead. The result "usable" is false if the
// record must not be replaced.
func (h *History) load(dir *durable.Dir) (problem error, usable bool) {
	text, err := dir.ReadFile(recordFile, maxRecord)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, true
	case err != nil:
		return err, false
	}
	totals, err := parse(text)
	switch {
	case errors.Is(err, errLater):
		return err, false
	case err != nil:
		aside := recordFile + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
		return errors.Join(fmt.Errorf("the runs of the command in %s: %w; set aside as %s, and counted from zero", h.path, err, aside),
			dir.Rename(recordFile, aside)), true
	}
	h.Totals = totals
	return nil, true
}

func parse(text []byte) (Totals, error) {
	v, sum := 0, uint32(0)
	line, rest, _ := strings.Cut(string(text), "\n")
	if _, err := fmt.Sscanf(line, magic+"%d %08x", &v, &sum); err != nil {
		return Totals{}, errors.New("not a record of runs")
	}
	if v > version {
		return Totals{}, errLater
	}
	if durable.Checksum([]byte(rest)) != sum {
		return Totals{}, errors.New("does not match its checksum")
	}
	t := newTotals(time.Now())
	fresh := newTotals(time.Now())
	if err := json.Unmarshal([]byte(rest), &t); err != nil {
		return Totals{}, err
	}
	for result := range fresh.Runs {
		fresh.Runs[result] = t.Runs[result]
	}
	t.Runs = fresh.Runs
	if !slices.Equal(t.Bounds, fresh.Bounds) || len(t.Counts) != len(fresh.Counts) {
		t.Bounds, t.Counts, t.Sum = fresh.Bounds, fresh.Counts, 0 // the record is from an earlier version with other buckets
	}
	return t, nil
}

// countLost counts a run as lost if the process of the run has ended without a call of End.
func (h *History) countLost() {
	h.Open = slices.DeleteFunc(h.Open, func(id string) bool {
		if id == h.id {
			return false
		}
		dir := durable.NewDir(h.path)
		if dir.Lock(runPrefix+id) != nil {
			return false // the run has not ended
		}
		_ = dir.Remove(runPrefix + id) // if the file remains, it does no harm, because its run is no longer in the record
		_ = dir.Unlock()
		h.Runs[lost]++
		if h.Last != nil {
			h.Last.Success = false
		}
		return true
	})
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
