//go:build !linux

package clock

import "time"

// Asleep returns 0: the system does not report how long the machine was suspended. A suspension then counts as a jump forward of the
// clock.
func Asleep() time.Duration { return 0 }
