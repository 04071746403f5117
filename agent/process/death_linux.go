package process

import "syscall"

// endWithAgent makes the kernel kill the command when the agent is killed.
func endWithAgent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
