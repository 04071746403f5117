//go:build unix && !linux

package process

import "syscall"

// endWithAgent does nothing on this system: a command continues to run when the agent is killed.
func endWithAgent(*syscall.SysProcAttr) {}
