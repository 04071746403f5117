package durable

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// HeldError is the error of FS.Lock if another process has locked the file.
type HeldError struct {
	PID int // ID of the other process; 0 if unknown
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "in use by another process"
	}
	return fmt.Sprintf("in use by process %d", e.PID)
}

// Lock locks a file and writes the process ID into it. If name is a symbolic link, it locks the file to which the link points. That
// file must exist, and its content is not changed.
func (d *Dir) Lock(name string) error { return d.acquire(name, false) }

// LockShared locks a file so that other processes can also lock it with LockShared, but not with Lock.
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
		// The process ID is for users. It may be missing if the disk is full.
		_ = f.Truncate(0)
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	d.lock = f
	return nil
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

// holder returns the ID of the process that has locked f, or 0 if it is not in the file.
func holder(f *os.File) int {
	text, _ := io.ReadAll(io.LimitReader(f, 20)) // after an error, the text is no number
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
