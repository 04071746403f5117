//go:build !unix

package exec

import "os/exec"

// ownGroup leaves the command as it is: there are no process groups, and at its end it alone is killed.
func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
