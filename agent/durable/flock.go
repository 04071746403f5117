//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"errors"
	"os"
	"syscall"
)

// noFollow is the flag that makes opening a symbolic link an error.
const noFollow = syscall.O_NOFOLLOW

// tryLock locks f until f is closed or the process ends. It reports whether another process, or another open file of this process, has a
// lock that conflicts with this one.
func tryLock(f *os.File, shared bool) (held bool, err error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), err
}
