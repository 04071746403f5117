// Package agent is the program. It has the function Main, and the catalogue of the kinds of fetchers, sources and sinks. To
// add your own kinds, write a program that calls Main with them. The packages sources and sinks describe how to write a
// kind.
package agent

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/process"
)

// Kind is a kind of fetcher, source or sink: a sources.Kind[sources.Fetcher], a sources.Kind[sources.Source] or a sinks.Kind.
type Kind interface {
	KindName() string
}

// Main runs the command line of this process and returns the exit code. Users can use the given kinds in addition to those
// of the catalogue. The first interrupt stops the agent in an orderly way. The second interrupt ends the process
// immediately.
func Main(kinds ...Kind) int {
	catalogue := Catalogue()
	for _, k := range kinds {
		if err := catalogue.Add(k); err != nil {
			fmt.Fprintln(os.Stderr, "cton: "+err.Error())
			return 1
		}
	}
	ignored := slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGHUP}, func(s os.Signal) bool { return !signal.Ignored(s) })
	go reap()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	saveMemory()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	app := command.App{
		Version: version(), Catalogue: catalogue,
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Reload: reload, Ignored: ignored,
	}
	return app.Main(ctx, os.Args[1:])
}

// reap collects the exit status of orphaned processes for as long as this process lives. It does nothing if this process is not process 1
// of a container.
func reap() {
	if err := process.Reap(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "cton: "+err.Error()+": processes that commands leave behind stay as zombies; run cton with an init, such as docker run --init")
	}
}

// gcPercent is the growth of the heap, in percent, that starts a garbage collection. Compared with Go's default of 100, this
// value costs the agent a few percent of CPU and saves a quarter of its memory.
const gcPercent = 50

// saveMemory makes the garbage collector run more often than by default. It sets gcPercent only after the first garbage collection:
// gcPercent also reduces the minimum heap size, so the first collection would otherwise run already while the command line is read,
// even for a short command. saveMemory does nothing if the environment configures the garbage collector.
func saveMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		runtime.AddCleanup(new(any), func(percent int) { debug.SetGCPercent(percent) }, gcPercent)
	}
}

// version returns the version of the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
