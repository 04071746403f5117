package jq

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/pattern"
)

// Bounds on one run of an expression.
const (
	maxMemory = 512 << 20 // bytes by which the memory of the process may grow
	maxDepth  = 10_000    // levels of a value that is written out or compared
	maxIndex  = 1 << 22   // index of a list that is set
	maxBits   = 1 << 16   // bits of an integer that is multiplied
	maxDigits = 4096      // of a number that is read
)

// How often a run is looked at.
const (
	every    = 256 // steps between two looks at the context
	stepSize = 64  // bytes that one step may allocate
)

// Exceeded is the error of a run that went over its bounds. It ends the run: the expression cannot catch it.
type Exceeded struct{ what string }

func (e *Exceeded) Error() string { return e.what }

func exceeded(format string, args ...any) error { return &Exceeded{fmt.Sprintf(format, args...)} }

// meter counts what a run does. It is the context of the run: gojq looks at it before each step.
//
// Memory is bounded by the growth of the heap, since only the collector knows what a run still holds. It is the heap of the
// whole process, so it is measured only if this run may have allocated as much by itself, as far as that can be estimated:
// some bytes for each step, and the results of larger operations before they are made.
type meter struct {
	context.Context
	closed    chan struct{}
	max       int64 // bytes by which the memory may grow
	stop      error // why the run ends
	steps     int64
	due       int64 // steps at which the context is looked at
	allocated int64 // bytes of larger operations
	limit     int64 // bytes at which the memory is measured
	before    int64 // bytes of the heap without what the run allocated; 0 if it was not measured yet
	deepAt    int64 // steps at which the depth of values is checked again
	patterns  map[[2]string]*pattern.Pattern
	originals map[string]*gojq.Code
}

// begin prepares the meter for a run.
func (m *meter) begin(ctx context.Context) {
	*m = meter{Context: ctx, closed: m.closed, max: m.max, limit: m.max / 8, deepAt: deepEvery, patterns: m.patterns, originals: m.originals}
}

// Done counts a step. It returns a closed channel once the run is over its bounds or its context has ended.
func (m *meter) Done() <-chan struct{} {
	if m.steps++; m.steps < m.due || m.look() == nil {
		return nil
	}
	return m.closed
}

// Err returns why the run ends.
func (m *meter) Err() error {
	if m.stop == nil && m.Context.Err() != nil {
		m.stop = context.Cause(m.Context)
	}
	return m.stop
}

// look checks the bounds.
func (m *meter) look() error {
	if m.Err() == nil && m.spent() > m.limit {
		m.stop = m.weigh(0)
	}
	m.due = m.steps + every
	if m.stop != nil {
		m.due = 0
	}
	return m.stop
}

func (m *meter) spent() int64 { return m.steps*stepSize + m.allocated }

// work counts n units of work of a function that gojq does not interrupt.
func (m *meter) work(n int) error {
	if m.steps += int64(n); m.steps < m.due {
		return nil
	}
	return m.look()
}

// allocate counts bytes that are going to be allocated. They must not be allocated after an error.
func (m *meter) allocate(n int64) error {
	if m.allocated += n; m.spent() <= m.limit {
		return nil
	}
	if m.Err() == nil {
		m.stop = m.weigh(n)
	}
	if m.stop != nil {
		m.due = 0
	}
	return m.stop
}

// weigh measures the memory, with bytes that are going to be allocated.
func (m *meter) weigh(more int64) error {
	held := heap()
	if m.before == 0 {
		m.before = max(held-(m.spent()-more), 1)
	}
	m.before = min(m.before, held)
	over := func() bool { return held-m.before+more > m.max }
	if over() && more < m.max {
		runtime.GC() // garbage does not count
		held = heap()
		m.before = min(m.before, held)
	}
	if over() && m.spent() > m.max/4 {
		return exceeded("used more than %d MiB of memory: select less of the document, or build smaller values", m.max>>20)
	}
	m.limit = m.spent() + max((m.max-(held-m.before))/4, m.max/32)
	return nil
}

// heap returns the bytes of all objects on the heap, garbage included.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// fail ends the run with an error.
func (m *meter) fail(err error) error {
	if m.stop == nil {
		m.stop = err
	}
	m.due = 0
	return m.stop
}

// Bytes that values take in memory, about.
const (
	slotSize = 16 // of an item of a list
	pairSize = 64 // of a member of an object
)

// measure counts a value that is about to be written out, copied or compared as a whole, each part as often as it occurs. The
// result is about the bytes of its text.
func (m *meter) measure(v any) (int64, error) { return m.measureAt(v, 0) }

func (m *meter) measureAt(v any, depth int) (size int64, err error) {
	if depth > maxDepth {
		return 0, m.fail(exceeded("made a value that is nested more than %d levels deep", maxDepth))
	}
	switch x := v.(type) {
	case string:
		return int64(len(x)) + 2, m.work(len(x) >> 8)
	case []any:
		if err = m.work(len(x)); err != nil {
			return 0, err
		}
		for _, item := range x {
			n, err := m.measureAt(item, depth+1)
			if err != nil {
				return 0, err
			}
			size += n + 1
		}
	case map[string]any:
		if err = m.work(len(x)); err != nil {
			return 0, err
		}
		for key, member := range x {
			n, err := m.measureAt(member, depth+1)
			if err != nil {
				return 0, err
			}
			size += int64(len(key)) + n + 4
		}
	default:
		return 8, nil
	}
	if size > m.max {
		return 0, m.fail(exceeded("made a value of more than %d MiB: its parts occur too often", m.max>>20))
	}
	return size + 2, nil
}
