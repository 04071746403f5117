package main

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests in the folder of the example, where users run them too.
func TestMain(m *testing.M) {
	if err := os.Chdir("../../../../deploy/examples/oncall"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
