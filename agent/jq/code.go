package jq

import (
	"context"
	"errors"
	"sync"

	"github.com/itchyny/gojq"
)

// Code is a compiled expression. It may be run by several goroutines at once.
type Code struct {
	compile func() (*machine, error)
	max     int64 // bytes by which a run may let the memory grow

	mu   sync.Mutex
	idle []*machine // compiled, and not in use
}

// machine is an expression compiled for one run at a time: its functions count what the run does.
type machine struct {
	code  *gojq.Code
	meter meter
}

// newCode compiles a query, which is changed.
func newCode(query *gojq.Query, variables ...string) (*Code, error) {
	if err := bound(query); err != nil {
		return nil, err
	}
	c := &Code{compile: func() (*machine, error) { return newMachine(query, variables) }, max: maxMemory}
	m, err := c.compile()
	if err != nil {
		return nil, err
	}
	c.idle = []*machine{m}
	return c, nil
}

func newMachine(query *gojq.Query, variables []string) (*machine, error) {
	m := &machine{meter: meter{closed: make(chan struct{})}}
	close(m.meter.closed)
	options := append(m.meter.functions(), gojq.WithVariables(variables), gojq.WithFunction("timestamp", 0, 0, timestamp))
	options = append(options, numbers()...)
	var err error
	m.code, err = gojq.Compile(query, options...)
	return m, err
}

// take returns a machine that is not in use.
func (c *Code) take() (*machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.idle) - 1; last >= 0 {
		m := c.idle[last]
		c.idle = c.idle[:last]
		return m, nil
	}
	return c.compile()
}

func (c *Code) release(m *machine) {
	m.meter.Context = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, m)
}

// Each yields the values of the expression for an input, until there is an error or yield returns one. The values of the
// variables are in the order of CompileAt. An [Exceeded] is the error of a run over its bounds; after the end of ctx the error
// is its cause. The text of any other error may contain parts of the input.
func (c *Code) Each(ctx context.Context, in any, yield func(any) error, variables ...any) error {
	m, err := c.take()
	if err != nil {
		return err
	}
	defer c.release(m)
	m.meter.max = c.max
	m.meter.begin(ctx)
	iter := m.code.RunWithContext(&m.meter, in, variables...)
	for {
		v, more := iter.Next()
		if m.meter.stop != nil {
			return m.meter.stop
		}
		if !more {
			return nil
		}
		if err, failed := v.(error); failed {
			return err
		}
		if err := yield(v); err != nil {
			return err
		}
	}
}

var errSeveral = errors.New("returns more than one value")

// One returns the value of the expression for an input. No value is nil, and more than one is an error. See [Code.Each].
func (c *Code) One(ctx context.Context, in any, variables ...any) (any, error) {
	var value any
	some := false
	err := c.Each(ctx, in, func(v any) error {
		if some {
			return errSeveral
		}
		value, some = v, true
		return nil
	}, variables...)
	if err != nil {
		return nil, err
	}
	return value, nil
}
