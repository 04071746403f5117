// Package exampletest runs the program on every example of deploy/examples.
package exampletest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMain runs the tests in the folder of the examples, where users run them too.
func TestMain(m *testing.M) {
	programs, err := filepath.Abs("testdata/bin") // stand-ins for programs that this host perhaps lacks
	if err == nil {
		err = os.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.Chdir("../../../deploy/examples"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
