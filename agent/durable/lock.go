package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// HeldError is the error of FS.Lock if another process has locked the file.
type HeldError struct {
	PID  int    // ID of the process that has the lock; 0 = unknown
	Word string // word that this process has left in the file, see Dir.WaitLock; "" = unknown
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "in use by another process"
	}
	return fmt.Sprintf("in use by process %d", e.PID)
}

// Lock locks a file and writes the process' number into it. If the name is a symbolic link, Lock locks the file to which the link points.
// That file must exist, and its content does not change.
func (d *Dir) Lock(name string) error {
	_, err := d.acquire(name, "", false)
	return err
}

// WaitLock is like Lock, with two differences: d can hold another lock at the same time, and WaitLock writes a word into the file after
// the process' number. While another process has the lock, WaitLock tries again after each pause. If ctx ends first, it returns a
// *HeldError. The result "before" is the word of the process that had the lock previously, or "" if that word is not known. On a system
// without locks, WaitLock locks nothing.
func (d *Dir) WaitLock(ctx context.Context, name, word string, pause time.Duration) (before string, unlock func(), err error) {
	own := NewDir(d.at("."))
	for {
		before, err := own.acquire(name, word, false)
		_, held := errors.AsType[*HeldError](err)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return "", func() {}, nil
		case err == nil:
			return before, func() { _ = own.Unlock() }, nil // at the latest, the lock ends with the process
		case !held:
			return "", nil, err
		}
		select {
		case <-ctx.Done():
			return "", nil, err
		case <-time.After(pause):
		}
	}
}

// LockShared is like Lock, but several processes can have a shared lock at the same time. While a process has a shared lock, Lock fails.
func (d *Dir) LockShared(name string) error {
	_, err := d.acquire(name, "", true)
	return err
}

func (d *Dir) acquire(name, word string, shared bool) (before string, err error) {
	link := isLink(d.at(name))
	flag := os.O_RDWR | os.O_CREATE | noFollow
	if link {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(d.at(name), flag, 0o600)
	if err != nil {
		return "", err
	}
	held, err := tryLock(f, shared)
	pid, before := holder(f)
	if held {
		err = &HeldError{PID: pid, Word: before}
	}
	if err == nil && !link {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return "", err
	}
	if !link {
		// An error is ignored: on a full disk, the file is locked all the same, and only lacks the number and the word.
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), word), 0)
	}
	d.lock = f
	return before, nil
}

// Unlock unlocks the file that Lock has locked.
func (d *Dir) Unlock() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// holder returns the process number and the word that the file f contains. The process that has locked f has written them there. The result
// pid is 0 if f contains no number.
func holder(f *os.File) (pid int, word string) {
	text, _ := io.ReadAll(io.LimitReader(f, 100)) // after an error the text is not a number
	number, word, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return 0, ""
	}
	return pid, word
}
