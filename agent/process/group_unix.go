//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// firstSignal is the number that a shell adds to the number of a signal when it reports the signal as an exit code.
const firstSignal = 128

func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	endWithAgent(cmd.SysProcAttr)
}

// terminateGroup sends SIGTERM to all processes of the group.
func terminateGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM) // an error means that the group is empty
}

func signalGroup(p *os.Process, s os.Signal) error {
	number, _ := s.(syscall.Signal) // all signals have this type
	return syscall.Kill(-p.Pid, number)
}

// killGroup kills the remaining processes of the group. A group with members keeps its ID after its leader has ended, and the ID of
// an empty group is not reused soon.
func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // an error means that the group is empty
}

// groupLives reports whether the group has members.
func groupLives(p *os.Process) bool { return syscall.Kill(-p.Pid, 0) == nil }

func resultOf(s *os.ProcessState) Result {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Result{Code: firstSignal + int(status.Signal()), Signal: status.Signal().String()}
	}
	return Result{Code: s.ExitCode()}
}
