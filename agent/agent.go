// Package agent is the program: Main, and the catalogue of its kinds of fetchers, sources and sinks. To add kinds of your
// own, write a main of a few lines that calls Main with them.
package agent

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sources"
)

// Main runs the command line of this process and returns the exit code. More are kinds of sources in addition to the
// catalogue's. The first interrupt stops the agent in order, the second ends the process at once.
func Main(more ...sources.Kind[sources.Source]) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	saveMemory()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	catalogue := Catalogue()
	catalogue.Sources = append(catalogue.Sources, more...)
	app := command.App{
		Version: version(), Catalogue: catalogue,
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Reload: reload,
	}
	return app.Main(ctx, os.Args[1:])
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
