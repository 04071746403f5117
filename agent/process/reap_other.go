//go:build !linux

package process

import "context"

// Reap does nothing: only on Linux do containers make the agent process 1.
func Reap(context.Context) error { return nil }
