//go:build unix && !linux && !darwin

package wrap

import (
	"os/signal"
	"syscall"
)

// maxrssUnit is the unit of ru_maxrss in bytes (getrusage(2)). macOS uses another unit; see command_darwin.go.
const maxrssUnit = 1024

// endWithWrapper does nothing. If the wrapper is killed, the command continues to run.
func endWithWrapper(*syscall.SysProcAttr) {}

func restoreDefault(s syscall.Signal) { signal.Reset(s) }

// mirrorStops does nothing. If a command stops itself, the user must continue it.
func (p *process) mirrorStops() {}

// resume continues the command. It cannot find out whether the command is stopped.
func (p *process) resume() { p.send(syscall.SIGCONT) }
