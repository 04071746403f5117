package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/deploy/examples/oncall/fakeapi"
)

// TestGoClass checks that the program in the folder goclass can be built as a module of its own, and that it works with
// the file of the Python framework.
func TestGoClass(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	began := time.Now().Add(-6 * time.Hour).Truncate(time.Second)
	incident := fakeapi.Incident{Number: 7, Started: began, Transitions: []fakeapi.Transition{
		{Name: "triggered", At: began}, {Name: "acknowledged", At: began.Add(3 * time.Minute)}, {Name: "resolved", At: began.Add(90 * time.Minute)},
	}}
	api := httptest.NewServer(&fakeapi.API{
		Key: "the-api-key", ID: "the-api-id", Now: time.Now,
		History: fakeapi.History{Before: 41, Incidents: []fakeapi.Incident{incident}},
	})
	defer api.Close()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", strings.ReplaceAll(read(t, "config.json"), "https://api.victorops.com", api.URL))
	write("splunk", "API_KEY=\"the-api-key\"\nAPI_ID=\"the-api-id\"\n")

	repository, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.go", "splunk_api.go"} {
		write(name, read(t, filepath.Join("goclass", name)))
	}
	write("go.mod", read(t, "goclass/go.mod")+fmt.Sprintf("\nreplace github.com/collectington/collectington => %s\n", repository))
	write("go.sum", read(t, filepath.Join(repository, "go.sum")))
	if out := execute(t, dir, "go", "build", "-mod=mod", "-o", "oncall", "."); out != "" {
		t.Log(out)
	}

	out := execute(t, dir, "./oncall", "try", "splunk", "-c", "config.json")
	for _, want := range []string{
		"\nnumber_of_incidents_total 42\n",
		"\ntime_taken_to_acknowledge_sum 3\n", "\ntime_taken_to_acknowledge_count 1\n",
		"\ntime_taken_to_resolve_sum 90\n", "\ntime_taken_to_resolve_count 1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("not shown: %s", want)
		}
	}
	if strings.Contains(out, "the-api-key") || strings.Contains(out, "the-api-id") {
		t.Error("a secret is shown")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// execute runs a program in a folder and returns what it has written. The go command must not use the network.
func execute(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	return string(out)
}
