//go:build !unix

package process

import (
	"os"
	"os/exec"
)

// Without process groups, only the command itself is killed, without a grace period.

func ownGroup(*exec.Cmd) {}

func terminateGroup(p *os.Process) { _ = p.Kill() }

func signalGroup(p *os.Process, s os.Signal) error { return p.Signal(s) }

func killGroup(*os.Process) {}

func groupLives(*os.Process) bool { return false }

func resultOf(s *os.ProcessState) Result { return Result{Code: s.ExitCode()} }
