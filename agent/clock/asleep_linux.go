package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Asleep returns how long the machine was suspended since it was started. During a suspension, the boot clock continues and the monotonic
// clock stands still. Asleep returns 0 if the kernel does not report it.
func Asleep() time.Duration {
	var total time.Duration
	for range 5 {
		before, ok1 := read(unix.CLOCK_MONOTONIC)
		boot, ok2 := read(unix.CLOCK_BOOTTIME)
		after, ok3 := read(unix.CLOCK_MONOTONIC)
		if !ok1 || !ok2 || !ok3 {
			return 0
		}
		total = boot - before
		if after-before < time.Millisecond { // otherwise the process was interrupted between the readings
			break
		}
	}
	// Small differences are ignored, since the clocks are not read at the same instant.
	if total = total.Round(100 * time.Millisecond); total < 0 {
		return 0
	}
	return total
}

func read(id int32) (time.Duration, bool) {
	var t unix.Timespec
	err := unix.ClockGettime(id, &t)
	return time.Duration(t.Nano()), err == nil
}
