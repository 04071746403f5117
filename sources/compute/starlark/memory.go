package starlark

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"go.starlark.net/starlark"
)

// watchMemory stops the thread when the process' live memory has grown by more than max. The result ends the watch.
func watchMemory(thread *starlark.Thread, max int64) (stop func()) {
	if held, live := heap(); held-live > max/4 {
		runtime.GC() // else what is garbage already would count as room
	}
	before, _ := heap()
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			held, _ := heap()
			before = min(before, held) // what was garbage from the start has gone by now
			if held-before <= max {
				continue
			}
			runtime.GC() // what is garbage does not count
			if held, _ = heap(); held-before > max {
				thread.Cancel(fmt.Sprintf("uses more memory than max_memory (%d MiB)", max>>20))
				return
			}
		}
	}()
	return func() { close(done) }
}

// heap is how many bytes the process holds, garbage included, and how many of them the last collection found in use.
func heap() (held, live int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}

const watchInterval = 10 * time.Millisecond
