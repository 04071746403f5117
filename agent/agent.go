// Package agent is the program: the catalogue of what it can do, and Main. A build of your own with further sources is a
// main of a few lines that calls Main with their kinds.
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

// Main runs the command line of this process, with more kinds of sources than the catalogue has, and returns the exit code.
// The first interrupt asks for a stop, the second ends the process at once.
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

// gcPercent is by how much the heap may grow until it is collected. The agent lives with little that stays and little that
// goes at each tick, so half of Go's default costs it a few per cent of CPU and saves a quarter of its memory.
const gcPercent = 50

// saveMemory makes the garbage collector work sooner than Go has it, unless the environment says how it is to work.
func saveMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
