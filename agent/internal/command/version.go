package command

import (
	"fmt"
	"runtime"
)

type versionCmd struct{}

// Run shows the version.
func (versionCmd) Run(a *App) error {
	fmt.Fprintf(a.Out, "cton %s (%s, %s/%s)\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
