package agent

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// TestSaveMemory checks how often the garbage collector runs: until its first run as by default, and after that more often.
func TestSaveMemory(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	saveMemory()
	for begin := time.Now(); percent() != gcPercent; runtime.GC() {
		if time.Since(begin) > time.Minute {
			t.Fatalf("GOGC is %d after a collection, want %d", percent(), gcPercent)
		}
	}
}
