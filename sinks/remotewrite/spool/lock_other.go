//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package spool

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func tryLock(*os.File) (held bool, err error) {
	return false, fmt.Errorf("lock it: not possible on %s, leave the spool out: %w", runtime.GOOS, errors.ErrUnsupported)
}
