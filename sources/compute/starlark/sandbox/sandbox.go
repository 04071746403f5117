// Package sandbox runs Starlark within limits of steps, memory and time.
//
// Memory is limited in two ways. If the memory of a script grows step by step, the script is stopped when the limit is exceeded: see
// [Limits.Run]. If a single operation could allocate too much, it cannot be interrupted, so it is checked before it starts. Such operations
// are: repeating, formatting, joining, replacing and splitting strings; extending and collecting lists; multiplying and reading large ints;
// reading and writing nested values; and long ranges. [Compile] rewrites these operations so that they are checked. [Predeclared] returns
// the checks, and limited versions of Starlark's own functions.
//
// A script that Compile has compiled needs all names of Predeclared in its environment.
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

// Compile parses and compiles a script. Scripts can use "while", "set", and control flow at the top level. They cannot use recursion and
// "load". The argument "isPredeclared" reports whether the environment defines a name. An error is a syntax.Error or a resolve.ErrorList,
// which have positions.
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

// Predeclared returns the names that every script needs in its environment: the checks that Compile inserts, and limited versions
// of Starlark's functions and of the module json.
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

// Limits are the limits for one call of a script.
type Limits struct {
	Steps  uint64 // number of computation steps, as Starlark counts them
	Memory int64  // bytes by which the memory of the process may grow
}

// Run calls the function that it gets as the argument "run", with the thread. It cancels the thread if a limit is exceeded or ctx ends.
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

// contextKey is the key under which a thread stores its context.
const contextKey = "context"

// Context returns the context of a thread that Run runs. This context ends when the thread must stop.
func Context(thread *starlark.Thread) context.Context {
	if ctx, ok := thread.Local(contextKey).(context.Context); ok {
		return ctx
	}
	return context.Background()
}

// watchInterval is how often the memory is measured.
const watchInterval = 10 * time.Millisecond

// watchMemory calls cancel when the heap of the process, without garbage, has grown by more than max. The returned function ends
// the watching.
//
// The heap is that of the whole process, so memory that other jobs allocate at the same time is also counted.
func watchMemory(max int64, cancel context.CancelCauseFunc) (stop func()) {
	if held, live := heap(); held-live > max/4 {
		runtime.GC() // otherwise old garbage, which will be freed, would allow the script more memory
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
			before = min(before, held) // smaller if old garbage was freed meanwhile
			if held-before <= max {
				continue
			}
			runtime.GC() // so that garbage does not count
			if held, _ = heap(); held-before > max {
				cancel(fmt.Errorf("exceeded max_memory (%d MiB): keep less data at once, or raise max_memory", max>>20))
				return
			}
		}
	}()
	return func() { close(done) }
}

// heap returns the size in bytes of all objects on the heap, including garbage, and of the objects that were in use at the last
// garbage collection.
func heap() (held, live int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}

// cancelledPrefix is the text that Starlark adds before the reason of a cancelled thread.
const cancelledPrefix = "Starlark computation cancelled: "

// Reason returns the message of a script's error without Starlark's prefix. It also reports whether the thread was cancelled, by a
// limit or because its context ended.
func Reason(err *starlark.EvalError) (message string, cancelled bool) {
	return strings.CutPrefix(err.Msg, cancelledPrefix)
}
