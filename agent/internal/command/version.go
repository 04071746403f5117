package command

import (
	"fmt"
	"runtime"

	"github.com/alecthomas/kong"
)

type versionCmd struct{}

// Run shows the version.
func (versionCmd) Run(a *App) error {
	fmt.Fprintf(a.Out, "cton %s (%s, %s/%s)\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionFlag shows the version instead of running a command.
type versionFlag bool

// BeforeReset is called by kong when it has parsed the flag, before it checks the command line.
func (versionFlag) BeforeReset(k *kong.Kong, a *App) error {
	defer k.Exit(exitOK)
	return versionCmd{}.Run(a)
}
