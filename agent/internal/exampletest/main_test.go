// Package exampletest runs the program on every example of deploy/examples.
package exampletest

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests in the folder of the examples, as their users do.
func TestMain(m *testing.M) {
	if err := os.Chdir("../../../deploy/examples"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
