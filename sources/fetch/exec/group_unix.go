//go:build unix

package exec

import (
	"os/exec"
	"syscall"
)

// ownGroup runs the command in a process group of its own. When its context ends, the group gets SIGTERM.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// killGroup kills the processes that are left of a group after its leader has ended. A group with members keeps its id,
// and the id of an empty group is not used again soon.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails if the group is empty
}
