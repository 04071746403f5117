package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
)

// Saved is a job's section of the state file: one line of JSON, then the ledger's snapshot.
type Saved struct {
	LastSuccess time.Time `json:"last_success"`
	Cursor      time.Time `json:"cursor,omitzero"` // the end of the last window that was read; zero = LastSuccess
	Fetches     string    `json:"fetches"`         // a digest, since the original may contain secrets

	// Final reports that no batch was delivered after this state, because the agent was shut down in order. A process that
	// starts from it clears it in the file. See Agent.resume.
	Final bool `json:"whole,omitempty"`

	snapshot []byte
}

// ReadSaved reads a job's section of the state file.
func ReadSaved(section []byte) (*Saved, error) {
	line, snapshot, found := bytes.Cut(section, []byte("\n"))
	s := &Saved{snapshot: snapshot}
	if !found {
		return nil, errors.New("the section has no first line")
	}
	if err := json.Unmarshal(line, s); err != nil {
		return nil, fmt.Errorf("the section's first line: %w", err)
	}
	return s, nil
}

func (s *Saved) section() ([]byte, error) {
	line, err := json.Marshal(s)
	return append(append(line, '\n'), s.snapshot...), err
}

// Ledger returns the saved ledger, for reading only.
func (s *Saved) Ledger() (*ledger.Ledger, error) {
	l := ledger.New(ledger.For(0), 0)
	return l, l.Restore(s.snapshot)
}

// Restore loads the saved state into a new worker, whose next tick may be at now. If the job fetches something else than
// when the state was saved, only LastSuccess and Cursor are loaded.
func (s *Saved) Restore(w *Worker, now time.Time) error {
	if s.Fetches == digest(w.Fetches) {
		if err := w.Ledger.Restore(s.snapshot); err != nil {
			return err
		}
	}
	w.LastSuccess, w.Cursor = s.LastSuccess.Local(), s.Cursor.Local()
	if s.LastSuccess.After(now) {
		w.LastSuccess = now // the clock was set back
	}
	if s.Cursor.IsZero() || w.Windows == nil && s.Cursor.After(now) {
		w.Cursor = w.LastSuccess
	}
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
