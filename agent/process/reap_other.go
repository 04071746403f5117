//go:build !linux

package process

import "context"

// Reap does nothing, since only on Linux the agent can be process 1 of a container.
func Reap(context.Context) error { return nil }
