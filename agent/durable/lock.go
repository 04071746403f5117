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
	PID int // of that process; 0 if unknown
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "in use by another process"
	}
	return fmt.Sprintf("in use by process %d", e.PID)
}

// Lock locks a file and writes the process' number into it. If the name is a symbolic link, it locks the file that the link
// leads to, which must exist and keeps its content.
func (d *Dir) Lock(name string) error { return d.acquire(name, false) }

// WaitLock is Lock by a value of its own. It tries again each pause while another process has the lock, until ctx ends: the error is a
// *HeldError then. On a system without locks it locks nothing.
func (d *Dir) WaitLock(ctx context.Context, name string, pause time.Duration) (unlock func(), err error) {
	own := NewDir(d.at("."))
	for {
		err := own.Lock(name)
		_, held := errors.AsType[*HeldError](err)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return func() {}, nil
		case err == nil:
			return func() { _ = own.Unlock() }, nil // it ends with the process at the latest
		case !held:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// LockShared is Lock for several processes at once: none of them has the file alone, and none can get it alone meanwhile.
func (d *Dir) LockShared(name string) error { return d.acquire(name, true) }

func (d *Dir) acquire(name string, shared bool) error {
	link := isLink(d.at(name))
	flag := os.O_RDWR | os.O_CREATE | noFollow
	if link {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(d.at(name), flag, 0o600)
	if err != nil {
		return err
	}
	held, err := tryLock(f, shared)
	if held {
		err = &HeldError{PID: holder(f)}
	}
	if err != nil {
		f.Close()
		return err
	}
	if !link {
		// The number is for people. On a full disk it can be missing.
		_ = f.Truncate(0)
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	d.lock = f
	return nil
}

// Unlock unlocks what Lock has locked.
func (d *Dir) Unlock() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// holder returns the number of the process that has locked f, or 0 if f does not say it.
func holder(f *os.File) int {
	text, _ := io.ReadAll(io.LimitReader(f, 20)) // what cannot be read is no number
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
