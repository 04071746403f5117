package main

import (
	"bytes"
	"testing"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/command"
)

// TestScriptTest runs the test of the script as its first line says.
func TestScriptTest(t *testing.T) {
	var out bytes.Buffer
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), Out: &out, Err: &out}
	code := app.Main(t.Context(), []string{"test", "-c", "config.json", "splunk_api.txtar"})
	if code != 0 || out.String() != "ok   splunk_api.txtar (2 ticks)\n" {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}
