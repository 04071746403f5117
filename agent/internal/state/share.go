package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// takeTurn waits until no other process reads or writes the files. If another process had the last turn, takeTurn looks at the files again.
// Without Options.Shared it does nothing. takeTurn returns an error if another process does not end its turn in time. If locking fails for
// any other reason, such as a read-only disk, it returns an error only if toWrite is true.
func (f *File) takeTurn(toWrite bool) (end func(), err error) {
	if !f.Shared {
		return func() {}, nil
	}
	f.turn.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), turnTimeout)
	defer cancel()
	before, unlock, err := f.wait(ctx, f.name()+".turn", f.word, 2*time.Millisecond)
	if err != nil && !IsHeld(err) && !toWrite {
		unlock, err = func() {}, nil
	}
	if err == nil && before != f.word {
		if err = f.rejoin(); err != nil {
			f.word = rand.Text() // a new word, so that the next turn calls rejoin again
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

// wait waits for the lock called name, until ctx ends. It tries to get the lock once per pause. When it has the lock, it writes the text
// "word" to the lock's file. The result "before" is the text that the previous owner of the lock has written there.
func (f *File) wait(ctx context.Context, name, word string, pause time.Duration) (before string, unlock func(), err error) {
	return durable.NewDir(filepath.Dir(f.path)).WaitLock(ctx, name, word, pause)
}

// rejoin reads the sizes and numbers of the files again, because other processes may have changed the files.
func (f *File) rejoin() error {
	s, err := readSnapshot(f.fsys, f.name())
	if stay := f.mustStay(err); stay != nil {
		return stay
	}
	if err == nil && s.missing && f.existed() {
		return errVanished
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

// LockJob locks a job. While another process has the lock, it waits. If ctx ends during this wait, the error satisfies IsHeld. Without
// Options.Shared it does nothing, because there is no other process.
func (f *File) LockJob(ctx context.Context, job string) (unlock func(), err error) {
	if !f.Shared {
		return func() {}, nil
	}
	host, _ := os.Hostname()
	_, unlock, err = f.wait(ctx, f.name()+".job-"+durable.FileName(job), host, 50*time.Millisecond)
	if held, is := errors.AsType[*durable.HeldError](err); is && held.Word != "" && held.Word != host {
		err = fmt.Errorf("%w on %s", err, held.Word)
	}
	return unlock, err
}

// LockLogin is like LockJob, for the tokens that a login stores in the state.
func (f *File) LockLogin(ctx context.Context, login string) (unlock func(), err error) {
	if !f.Shared {
		return func() {}, nil
	}
	_, unlock, err = f.wait(ctx, f.name()+".login-"+durable.FileName(login), "", 20*time.Millisecond)
	return unlock, err
}

// Latest is like Records, but includes what other processes have written since Open.
func (f *File) Latest(name string) ([][]byte, error) {
	if !f.Shared {
		return f.Records(name)
	}
	return f.reread(name)
}

// LatestOf is like Latest for all names that begin with a prefix. It returns the newest record of each name.
func (f *File) LatestOf(prefix string) (map[string]Record, error) {
	f.Flush()
	sections, err := f.readAll()
	return NewestOf(sections, prefix), err
}

// NewestRead returns the newest record of each name that begins with a prefix, as Open or Reread has read it. It returns nothing after
// Loaded.
func (f *File) NewestRead(prefix string) map[string]Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return NewestOf(f.records, prefix)
}

// Record is the newest record of a name.
type Record struct {
	Saved time.Time
	Data  []byte
}

// NewestOf returns the newest record of each name that begins with a prefix.
func NewestOf(sections map[string]Section, prefix string) map[string]Record {
	newest := map[string]Record{}
	for name, section := range sections {
		if n := len(section.Records); n > 0 && strings.HasPrefix(name, prefix) {
			newest[name] = Record{section.Saved, section.Records[n-1]}
		}
	}
	return newest
}

// Reread reads the files again, so that Records also returns what other processes have written since Open.
func (f *File) Reread() error {
	if !f.Shared {
		return nil
	}
	f.rereading.Lock() // so that an older result cannot replace a newer one if Reread is called twice at the same time
	defer f.rereading.Unlock()
	sections, err := f.readAll()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = sections
	return nil
}
