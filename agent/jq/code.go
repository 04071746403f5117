package jq

import (
	"context"
	"errors"
	"sync"

	"github.com/itchyny/gojq"
)

// Code is a compiled expression. It is safe for concurrent use.
type Code struct {
	compile func() (*machine, error)
	max     int64 // maximum number of bytes of memory that a run may allocate

	mu   sync.Mutex
	idle []*machine // compiled machines that are not in use
}

// machine is a compiled expression with a meter, which limits the steps and memory of a run. Only one run at a time can use a machine.
type machine struct {
	code  *gojq.Code
	meter meter
}

// newMachine compiles a query. It changes the query.
func newMachine(query *gojq.Query, variables []string) (*machine, error) {
	m := &machine{meter: meter{closed: make(chan struct{})}}
	close(m.meter.closed)
	options := append(m.meter.functions(), gojq.WithVariables(variables), gojq.WithFunction("timestamp", 0, 0, timestamp))
	options = append(options, numbers()...)
	var err error
	m.code, err = gojq.Compile(query, options...)
	return m, err
}

// take returns a machine that is not in use, and compiles one if needed.
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

// Each yields the values of the expression for the input "in", until an error occurs or the function "yield" returns an error. The values
// of the variables are in the order of CompileAt. If a run exceeds its limits, the error is an [Exceeded]. If ctx has ended, the error is
// context.Cause(ctx). The text of any other error may contain parts of the input.
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

// One returns the value of the expression for an input. If there is no value, the result is nil; more than one value is an error.
// See [Code.Each].
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
