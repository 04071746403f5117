//go:build unix && !linux

package process

import "syscall"

// endWithAgent does nothing: a command outlives an agent that is killed.
func endWithAgent(*syscall.SysProcAttr) {}
