package process

import "syscall"

// endWithAgent has the kernel kill the command when the agent is killed.
func endWithAgent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
