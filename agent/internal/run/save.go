package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
)

// statePause is how long a job, and the agent, wait from one time that they save state to the next.
const statePause = 5 * time.Second

// Saved is what the state file holds of a job. It is written as a line of JSON, and the ledger's snapshot behind it.
type Saved struct {
	LastSuccess time.Time `json:"last_success"`
	Cursor      time.Time `json:"cursor,omitzero"` // the end of the last window that was read; zero = LastSuccess
	Fetches     string    `json:"fetches"`         // a digest: there may be secrets in it

	// Whole tells that no sink has been told of a tick after it: the agent has ended in order.
	Whole bool `json:"whole,omitempty"`

	snapshot []byte
}

// ReadSaved reads a job's section of the state file.
func ReadSaved(section []byte) (*Saved, error) {
	line, snapshot, found := bytes.Cut(section, []byte("\n"))
	s := &Saved{snapshot: snapshot}
	if !found {
		return nil, errors.New("it has no first line")
	}
	if err := json.Unmarshal(line, s); err != nil {
		return nil, fmt.Errorf("its first line: %w", err)
	}
	return s, nil
}

func (s *Saved) section() ([]byte, error) {
	line, err := json.Marshal(s)
	return append(append(line, '\n'), s.snapshot...), err
}

// Ledger is the job's ledger as it was.
func (s *Saved) Ledger() (*ledger.Ledger, error) {
	l := ledger.New(ledger.For(0), 0)
	return l, l.Restore(s.snapshot)
}

// Restore has an empty ledger, and a first tick at a time, go on from there: all up to cursor is read. A job that fetches
// something else than it did has its window alone from there.
func (s *Saved) Restore(job *Job, l *ledger.Ledger, now time.Time) (lastSuccess, cursor time.Time, err error) {
	if s.Fetches == digest(job.Fetches) {
		if err := l.Restore(s.snapshot); err != nil {
			return time.Time{}, time.Time{}, err
		}
	}
	lastSuccess, cursor = s.LastSuccess.Local(), s.Cursor.Local()
	if s.LastSuccess.After(now) {
		lastSuccess = now // the clock was set back
	}
	if s.Cursor.IsZero() || job.Windows == nil && s.Cursor.After(now) {
		cursor = lastSuccess
	}
	return lastSuccess, cursor, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// restore goes on from where a job of the same name stood when it was last saved.
func (j *job) restore() {
	if j.agent.state == nil {
		return
	}
	section := j.agent.state.Section(j.Name)
	if section == nil {
		return
	}
	saved, err := ReadSaved(section)
	if err == nil {
		j.lastSuccess, j.cursor, err = saved.Restore(&j.Job, j.ledger, time.Now())
	}
	if err != nil {
		j.Log.Error("the job's state cannot be used, it begins anew", "error", err)
		return
	}
	if saved.Fetches != digest(j.Fetches) {
		j.Log.Warn("the job fetches something else than before: its totals begin anew")
	}
	j.showing = true
	if saved.Whole {
		j.whole = saved
	}
	j.status.restore(j.lastSuccess, j.cursor)
}

// saveIfDue saves unless that was just done; waitFor comes back to it.
func (j *job) saveIfDue() {
	if time.Since(j.savedAt) >= statePause {
		j.save()
	}
}

// save hands the job's state over to be written, if the last tick has changed it.
func (j *job) save() {
	if !j.unsaved {
		return
	}
	j.put(false)
	j.unsaved, j.savedAt = false, time.Now()
}

// put hands the job's state over to be written.
func (j *job) put(whole bool) {
	saved := &Saved{LastSuccess: j.lastSuccess.UTC(), Fetches: digest(j.Fetches), Whole: whole, snapshot: j.ledger.Snapshot()}
	if j.Windows != nil {
		saved.Cursor = j.cursor.UTC()
	}
	j.hand(saved)
}

// hand hands a section over to be written.
func (j *job) hand(saved *Saved) {
	section, err := saved.section()
	if err != nil {
		j.Log.Error("the job's state cannot be saved", "error", err)
		return
	}
	j.agent.state.Put(j.Name, section)
}

// keepState writes the state file when there is something to write, but not all the time.
func (a *Agent) keepState(ctx context.Context) {
	if a.state == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.state.Dirty():
		}
		a.saveState()
		select {
		case <-ctx.Done():
			return
		case <-time.After(statePause):
		}
	}
}

func (a *Agent) saveState() (done bool) {
	const what = "state file"
	if err := a.state.Write(); err != nil {
		a.stateReport.failed("the state is not saved: after a restart, jobs go on from where it was saved last", what, err)
		return false
	}
	a.stateReport.recovered(what)
	return true
}
