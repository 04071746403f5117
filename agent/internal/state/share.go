package state

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// With Options.Shared, several processes can use a state at the same time. They use three kinds of locks:
//
//   - While a process has the state open, it has a shared lock. So a process that wants to use the state alone cannot start
//     meanwhile.
//   - While a process reads or writes the files, it has a second lock, exclusively. This time is called its turn.
//   - While a process runs a job, it has the lock of that job.

// turnTimeout is how long a process waits for its turn. In a turn, a process only reads and writes some files.
const turnTimeout = 10 * time.Second

// takeTurn waits until no other process reads or writes the files, and then updates f to the current state of the files.
// Without Options.Shared it does nothing. If the lock fails for another reason, such as a read-only disk, takeTurn returns
// an error only if toWrite is true.
func (f *File) takeTurn(toWrite bool) (end func(), err error) {
	if !f.Shared {
		return func() {}, nil
	}
	f.turn.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), turnTimeout)
	defer cancel()
	unlock, err := f.wait(ctx, f.name()+".turn", 2*time.Millisecond)
	if err != nil && !IsHeld(err) && !toWrite {
		unlock, err = func() {}, nil
	}
	if err == nil {
		if err = f.rejoin(); err != nil {
			unlock()
		}
	}
	if err != nil {
		f.turn.Unlock()
		return nil, err
	}
	return func() {
		f.appending.Lock()
		f.closeJournal()
		f.appending.Unlock()
		unlock()
		f.turn.Unlock()
	}, nil
}

// wait waits for a lock until ctx ends. It tries to get the lock at intervals of pause.
func (f *File) wait(ctx context.Context, name string, pause time.Duration) (unlock func(), err error) {
	dir := durable.NewDir(filepath.Dir(f.path))
	for {
		err := dir.Lock(name)
		switch {
		case errors.Is(err, errors.ErrUnsupported): // the same is done for the lock of the state
			return func() {}, nil
		case err == nil:
			return func() { _ = dir.Unlock() }, nil // at the latest, the lock ends with the process
		case !IsHeld(err):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// rejoin updates f after other processes may have changed the files.
func (f *File) rejoin() error {
	s, err := readSnapshot(f.fsys, f.name())
	if stay := f.mustStay(err); stay != nil {
		return stay
	}
	if err != nil {
		s = &snapshot{}
	}
	numbers, err := journals(f.fsys, f.name())
	if err != nil {
		return &readError{err}
	}
	f.appending.Lock()
	defer f.appending.Unlock()
	f.closeJournal()
	before := f.journal
	f.journal = journal{number: max(s.journal, 1) - 1}
	bytes := int64(0)
	for _, number := range numbers {
		if number < s.journal {
			continue
		}
		_, whole, size, _, err := readJournal(f.fsys, f.name(), number)
		if err != nil {
			return err
		}
		f.journal = journal{number: number, size: int64(whole), torn: size > whole || before.torn && number == before.number}
		bytes += int64(whole)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journalBytes, f.snapshotSize = bytes, int64(s.size)
	return nil
}

// LockJob waits until no other process has the lock of a job. If ctx ends before that, the error is a *durable.HeldError.
// Without Options.Shared, LockJob does nothing.
func (f *File) LockJob(ctx context.Context, job string) (unlock func(), err error) {
	if !f.Shared {
		return func() {}, nil
	}
	return f.wait(ctx, f.name()+".job-"+durable.FileName(job), 50*time.Millisecond)
}

// Reread reads the files again, so that Records also returns what other processes have written since Open.
func (f *File) Reread() error {
	if !f.Shared {
		return nil
	}
	sections, _, err := readAll(f.fsys, f.name())
	if err != nil {
		return fmt.Errorf("read the state file %s: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = sections
	return nil
}
