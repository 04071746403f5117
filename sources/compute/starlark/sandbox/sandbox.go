// Package sandbox runs Starlark within bounds of steps, memory and time.
//
// Memory is bounded in two ways. A script whose memory grows step by step is stopped once it holds too much, see
// [Limits.Run]. A single operation that could allocate too much cannot be interrupted, so it is refused before it starts:
// repeating, formatting, joining, replacing and splitting strings, extending and collecting lists, multiplying and reading large
// ints, reading and writing out nested values, and long ranges. [Compile] rewrites such operations so that they pass a check, and [Predeclared] has the
// checks and bounded versions of Starlark's own functions.
//
// A script that was compiled by Compile needs all names of Predeclared in its environment.
package sandbox

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Compile parses and compiles a script. It has while, set and control flow at the top level, and neither recursion nor
// load. The function isPredeclared reports whether a name is defined by the environment. An error is a syntax.Error or a
// resolve.ErrorList, which have positions.
func Compile(file, text string, isPredeclared func(name string) bool) (*starlark.Program, error) {
	options := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true}
	tree, err := options.Parse(file, text, 0)
	if err != nil {
		return nil, err
	}
	var loads error
	syntax.Walk(tree, func(n syntax.Node) bool {
		if l, ok := n.(*syntax.LoadStmt); ok && loads == nil {
			loads = syntax.Error{Pos: l.Load, Msg: "load is not supported: a script is a single file"}
		}
		return true
	})
	if loads != nil {
		return nil, loads
	}
	guardOperators(tree)
	return starlark.FileProgram(tree, isPredeclared)
}

// Predeclared returns the names that every script needs in its environment: the checks that Compile inserts, and bounded
// versions of Starlark's functions and of its module json.
func Predeclared() starlark.StringDict {
	all := starlark.StringDict{
		operandName:      starlark.NewBuiltin("*", guardOperand),
		rightOperandName: starlark.NewBuiltin("*=", guardRightOperand),
		formatName:       starlark.NewBuiltin("%=", guardFormat),
		addendName:       starlark.NewBuiltin("+", boundAddend),
		comparandName:    starlark.NewBuiltin("==", expandComparand),
		"range":          starlark.NewBuiltin("range", boundedRange),
		"sorted":         starlark.NewBuiltin("sorted", ordering),
		"min":            starlark.NewBuiltin("min", ordering),
		"max":            starlark.NewBuiltin("max", ordering),
		"str":            starlark.NewBuiltin("str", boundedString),
		"repr":           starlark.NewBuiltin("repr", boundedString),
		"print":          starlark.NewBuiltin("print", boundedString),
		"int":            starlark.NewBuiltin("int", boundedInt),
		"json":           boundedJSON(starjson.Module),
	}
	for _, name := range []string{"list", "tuple", "reversed", "enumerate", "dict", "zip"} {
		all[name] = starlark.NewBuiltin(name, collected)
	}
	return all
}

// Limits bounds one call of a script.
type Limits struct {
	Steps  uint64 // computation steps, as Starlark counts them
	Memory int64  // bytes by which the memory of the process may grow
}

// Run calls run with the thread. It cancels the thread when a limit is exceeded or ctx ends.
func (l Limits) Run(ctx context.Context, thread *starlark.Thread, run func(*starlark.Thread) error) error {
	thread.SetMaxExecutionSteps(l.Steps)
	thread.OnMaxSteps = func(t *starlark.Thread) {
		t.Cancel(fmt.Sprintf("exceeded %d steps: is it an endless loop?", l.Steps))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	thread.SetLocal(contextKey, ctx)
	defer watchMemory(l.Memory, cancel)()
	return run(thread)
}

// contextKey is the name of a thread's context.
const contextKey = "context"

// Context returns the context of a thread of Run. It ends when the thread has to.
func Context(thread *starlark.Thread) context.Context {
	if ctx, ok := thread.Local(contextKey).(context.Context); ok {
		return ctx
	}
	return context.Background()
}

// watchInterval is how often the memory is measured.
const watchInterval = 10 * time.Millisecond

// watchMemory calls cancel when the live heap of the process has grown by more than max. The function it returns
// ends the watch.
//
// The heap is that of the whole process: what other jobs allocate at the same time counts too.
func watchMemory(max int64, cancel context.CancelCauseFunc) (stop func()) {
	if held, live := heap(); held-live > max/4 {
		runtime.GC() // otherwise garbage of the past would count as room
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
			before = min(before, held) // garbage of the past has been collected since
			if held-before <= max {
				continue
			}
			runtime.GC() // garbage does not count
			if held, _ = heap(); held-before > max {
				cancel(fmt.Errorf("exceeded max_memory (%d MiB): keep less data at once, or raise max_memory", max>>20))
				return
			}
		}
	}()
	return func() { close(done) }
}

// heap returns the bytes of all objects on the heap, garbage included, and of those that the last collection found live.
func heap() (held, live int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}

// cancelledPrefix is what Starlark puts before the reason of a cancelled thread.
const cancelledPrefix = "Starlark computation cancelled: "

// Reason returns the message of a script's error without Starlark's prefix, and whether the thread was cancelled: by a
// limit, or because its context ended.
func Reason(err *starlark.EvalError) (message string, cancelled bool) {
	return strings.CutPrefix(err.Msg, cancelledPrefix)
}
