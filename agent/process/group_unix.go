//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// firstSignal is what a shell adds to the number of a signal to report it as an exit code.
const firstSignal = 128

func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	endWithAgent(cmd.SysProcAttr)
}

// terminateGroup asks the processes of a group to end.
func terminateGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM) // fails if the group is empty
}

func signalGroup(p *os.Process, s os.Signal) error {
	number, _ := s.(syscall.Signal) // there is no other type of signal
	return syscall.Kill(-p.Pid, number)
}

// killGroup kills the processes that are left of a group. A group with members keeps its id after its leader has ended, and the id
// of an empty group is not used again soon.
func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // fails if the group is empty
}

// groupLives reports whether a group has members.
func groupLives(p *os.Process) bool { return syscall.Kill(-p.Pid, 0) == nil }

func resultOf(s *os.ProcessState) Result {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Result{Code: firstSignal + int(status.Signal()), Signal: status.Signal().String()}
	}
	return Result{Code: s.ExitCode()}
}
