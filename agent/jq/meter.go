package jq

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/pattern"
)

// The limits of one run of an expression.
const (
	maxMemory = 512 << 20 // bytes by which the memory of the process may grow
	maxDepth  = 10_000    // levels of nesting of a value that is written out or compared
	maxIndex  = 1 << 22   // largest index of a list that is set
	maxBits   = 1 << 16   // bits of the product of a multiplication
	maxDigits = 4096      // digits of a number that is read
)

// How often the limits are checked.
const (
	every    = 256 // number of steps between two checks of the context
	stepSize = 64  // estimated bytes that one step allocates
)

// Exceeded is the error of a run that has exceeded its limits. It ends the run: the expression cannot catch it.
type Exceeded struct{ what string }

func (e *Exceeded) Error() string { return e.what }

func exceeded(format string, args ...any) error { return &Exceeded{fmt.Sprintf(format, args...)} }

// meter counts what a run does. It is the context of the run: gojq checks it before each step.
//
// The limit for memory is a limit for the growth of the heap, since only the garbage collector knows which objects a run still uses. Other
// runs of the process use the same heap. So the heap is measured only when this run alone could have allocated enough to exceed the limit.
// What the run has allocated is estimated: some bytes for each step, plus the results of larger operations, which are counted before they
// are allocated.
type meter struct {
	context.Context
	closed    chan struct{}
	max       int64 // maximum number of bytes by which the memory may grow
	stop      error // why the run ends; nil while it continues
	steps     int64
	due       int64 // number of steps at which the context is checked next
	allocated int64 // bytes counted by allocate
	limit     int64 // estimated bytes at which the heap is measured next
	before    int64 // bytes of the heap without this run; 0 = not measured yet
	deepAt    int64 // number of steps at which the depth of values is checked next
	patterns  map[[2]string]*pattern.Pattern
	originals map[string]*gojq.Code
}

// begin prepares the meter for a run.
func (m *meter) begin(ctx context.Context) {
	*m = meter{Context: ctx, closed: m.closed, max: m.max, limit: m.max / 8, deepAt: deepEvery, patterns: m.patterns, originals: m.originals}
}

// Done counts a step. It returns a closed channel if the run has exceeded its limits or if its context has ended. Otherwise it returns nil.
func (m *meter) Done() <-chan struct{} {
	if m.steps++; m.steps < m.due || m.look() == nil {
		return nil
	}
	return m.closed
}

// Err returns the reason why the run ends, or nil.
func (m *meter) Err() error {
	if m.stop == nil && m.Context.Err() != nil {
		m.stop = context.Cause(m.Context)
	}
	return m.stop
}

// look checks the context and the memory.
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

// work counts n steps of a function that gojq cannot interrupt.
func (m *meter) work(n int) error {
	if m.steps += int64(n); m.steps < m.due {
		return nil
	}
	return m.look()
}

// allocate counts bytes that the caller will allocate. After an error, the caller must not allocate them.
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

// weigh measures the heap. The argument "more" is the number of bytes that will be added to the heap. weigh returns an error if the heap
// then exceeds the limit.
func (m *meter) weigh(more int64) error {
	held := heap()
	if m.before == 0 {
		m.before = max(held-(m.spent()-more), 1)
	}
	m.before = min(m.before, held)
	over := func() bool { return held-m.before+more > m.max }
	if over() && more < m.max {
		runtime.GC() // so that garbage does not count
		held = heap()
		m.before = min(m.before, held)
	}
	if over() && m.spent() > m.max/4 {
		return exceeded("used more than %d MiB of memory: select less of the document, or build smaller values", m.max>>20)
	}
	m.limit = m.spent() + max((m.max-(held-m.before))/4, m.max/32)
	return nil
}

// heap returns the size of all objects on the heap in bytes, including garbage.
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

// The approximate memory of values in bytes.
const (
	slotSize = 16 // for an item of a list
	pairSize = 64 // for a member of an object
)

// measure counts the work for a value that will be written out, copied or compared as a whole. A part that occurs several times is
// counted each time. The result is the approximate length of the value's text in bytes.
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
