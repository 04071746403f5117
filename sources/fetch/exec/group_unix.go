//go:build unix

package exec

import (
	"os/exec"
	"syscall"
)

// ownGroup has the command lead a process group of its own, which is asked to terminate where the command would be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// killGroup kills what is left of a group whose leader has ended. A group that has members keeps its number; that of an
// empty one goes to somebody else only once all others have been used.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an empty group is what there should be
}
