// Package agent is the program: Main, and the catalogue of its kinds of fetchers, sources and sinks. To add your own kinds, write a
// program that calls Main with them. Packages sources and sinks say how to write a kind.
package agent

import (
	"context"
	"fmt"
	"os"
	"os/signal"
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

// Main runs the command line of this process and returns the exit code. It knows the given kinds in addition to those of the
// catalogue. The first interrupt stops the agent in order, the second ends the process immediately.
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

// reap reaps orphans for as long as the process lives, if it is process 1 of a container.
func reap() {
	if err := process.Reap(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "cton: "+err.Error()+": processes that commands leave behind stay as zombies; run cton with an init, such as docker run --init")
	}
}

// gcPercent is the growth of the heap that starts a garbage collection. Half of Go's default costs the agent a few per cent
// of CPU and saves a quarter of its memory.
const gcPercent = 50

// saveMemory has the garbage collector run more often than by default, unless the environment configures it.
func saveMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
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
