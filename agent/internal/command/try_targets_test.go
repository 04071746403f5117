package command_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
)

// TestTryAsksTargetsAtTheSameTime checks that cton try asks slow targets at the same time, as a run does. It must show the targets in the
// order of the list, each with its document and with what the script shows. What the script prints when it is loaded must be shown once,
// before all targets.
func TestTryAsksTargetsAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const targets = 40
		dir, net := t.TempDir(), memnet.NewNetwork()
		urls, want := []string{}, "loaded\n"
		for i := range targets {
			host := fmt.Sprintf("plug-%02d.test", i)
			net.Serve(t, host+":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Duration(10_000-100*i) * time.Millisecond) // the last ones answer first
				fmt.Fprintf(w, `{"watts": %d}`, i)
			}))
			urls = append(urls, fmt.Sprintf("{url: 'http://%s/status'}", host))
			want += fmt.Sprintf("GET http://%s/status\n{\"watts\": %d}\nwatts returned: %d\n", host, i, i)
		}
		for name, text := range map[string]string{
			"cton.yaml": `
sinks: {page: {expose: {}}}
jobs:
  plugs:
    schedule: "@every 60s"
    timeout: 30s
    http: {targets: [` + strings.Join(urls, ", ") + `]}
    script: {file: plug.star, metrics: {watts: {type: gauge}}}
`,
			"plug.star": "print(\"loaded\")\ndef get_watts(): return fetch()[\"watts\"]\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out, log stream
		app := command.App{Catalogue: agent.Catalogue(), Out: &out, Err: &log, In: strings.NewReader(""), Dial: net.Dial}
		began := time.Now()
		if code := app.Main(t.Context(), []string{"try", "-c", filepath.Join(dir, "cton.yaml")}); code != 0 {
			t.Errorf("exit code %d\n%s", code, &log)
		}
		if took := time.Since(began); took > 25*time.Second { // 32 targets are asked at the same time
			t.Errorf("took %s", took)
		}
		got, value := "", ""
		for line := range strings.Lines(out.String()) {
			switch {
			case strings.HasSuffix(line, ": loaded\n"):
				got += "loaded\n"
			case strings.HasPrefix(line, "GET "), strings.HasPrefix(line, `{"watts"`):
				got += line
			case strings.HasPrefix(line, `  "watts": `):
				got += strings.Replace(strings.TrimSpace(line), `"watts"`, `{"watts"`, 1) + "}\n"
			case strings.HasPrefix(line, "== get_watts returned"):
				value = line
			case value != "":
				got, value = got+"watts returned: "+line, ""
			}
		}
		if got != want {
			t.Errorf("shown:\n%s\nwant\n%s", got, want)
		}
	})
}

// TestTryShowsOnlyResultsOfExpression checks that cton try -e shows the results of the expression for each target and nothing else. Neither
// what the script prints nor what its functions return is shown.
func TestTryShowsOnlyResultsOfExpression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, net := t.TempDir(), memnet.NewNetwork()
		for i := range 2 {
			net.Serve(t, fmt.Sprintf("plug-%d.test:80", i), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Duration(1+i) * time.Second)
				fmt.Fprintf(w, `{"watts": %d}`, 60+i)
			}))
		}
		for name, text := range map[string]string{
			"cton.yaml": `
sinks: {page: {expose: {}}}
jobs:
  plugs:
    schedule: "@every 60s"
    http: {targets: [{url: "http://plug-0.test/"}, {url: "http://plug-1.test/"}]}
    script: {file: plug.star, metrics: {watts: {type: gauge}}}
`,
			"plug.star": "print(\"loaded\")\ndef get_watts():\n    print(\"asking\")\n    return fetch()[\"watts\"]\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out, log stream
		app := command.App{Catalogue: agent.Catalogue(), Out: &out, Err: &log, In: strings.NewReader(""), Dial: net.Dial}
		code := app.Main(t.Context(), []string{"try", "-c", filepath.Join(dir, "cton.yaml"), "-e", ".watts"})
		if want := "60\n61\n"; code != 0 || out.String() != want {
			t.Errorf("exit code %d, shown:\n%s\nwant\n%s\n%s", code, &out, want, &log)
		}
	})
}
