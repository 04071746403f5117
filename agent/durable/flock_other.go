//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package durable

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

const noFollow = 0

// tryLock returns an error, since package syscall has no file locks for this system.
func tryLock(*os.File, bool) (held bool, err error) {
	return false, fmt.Errorf("cannot lock files on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
