// Package durable keeps a file for one process among those that ask for it.
package durable

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// HeldError is that another process has the file.
type HeldError struct{ By string } // "process 4711", or less where the file does not say

func (e *HeldError) Error() string { return e.By + " has it" }

// Take keeps f, open for reading and writing, for this process until f is closed, also by the end of the process. The
// file then says which process has it. The error is a *HeldError where another has it, and wraps errors.ErrUnsupported on a
// system that cannot lock files.
func Take(f *os.File) error {
	held, err := tryLock(f)
	if held {
		return &HeldError{By: holder(f)}
	}
	if err != nil {
		return err
	}
	// The number is for people; on a full disk it may be missing.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintln(f, os.Getpid())
	return nil
}

// holder is the process that has locked f, as far as f says it.
func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 20))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}
