package wrap

import (
	"os/signal"
	"syscall"
)

// maxrssUnit is the unit of ru_maxrss in bytes (getrusage(2)).
const maxrssUnit = 1

// endWithWrapper does nothing: a command outlives a wrapper that is killed.
func endWithWrapper(*syscall.SysProcAttr) {}

func restoreDefault(s syscall.Signal) { signal.Reset(s) }

// mirrorStops does nothing: a command that stops itself has to be continued by hand.
func (p *process) mirrorStops() {}

// resume continues the command, also if it is not stopped: that is not known here.
func (p *process) resume() { p.send(syscall.SIGCONT) }
