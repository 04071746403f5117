package command_test

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
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

// TestFilesComeLate checks an agent that is started before a certificate and a script exist. Only the jobs that need them fail, until the
// files exist. Later the files are removed again. A reload must not be refused then, and a job must go on with the script that it has
// already read.
func TestFilesComeLate(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	server.Close()
	synctest.Test(t, func(t *testing.T) {
		dir, net := t.TempDir(), memnet.NewNetwork()
		net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "2") }))
		put := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put("cton.yaml", `
sinks: {out: {print: {}}}
jobs:
  good: {schedule: "@every 10s", file: {path: one.json}, metrics: {good: {type: gauge, value: .}}}
  api: {schedule: "@every 10s", http: {url: "http://api.test/", tls_config: {ca_file: ca.pem}}, metrics: {api: {type: gauge, value: .}}}
  script: {schedule: "@every 10s", file: {path: one.json}, script: {file: s.star, metrics: {script: {type: gauge}}}}
`)
		put("one.json", "1")
		var out, log stream
		reload, code := make(chan os.Signal), make(chan int)
		app := command.App{Catalogue: agent.Catalogue(), Out: &out, Err: &log, Reload: reload, Dial: net.Dial}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { code <- app.Main(ctx, []string{"run", "-c", filepath.Join(dir, "cton.yaml")}) }()
		shownBefore, loggedBefore := 0, 0
		// next returns what is written within two runs of each job. If the argument "reloads" is true, the configuration is reloaded first.
		next := func(reloads bool) (shown, logged string) {
			if reloads {
				reload <- os.Interrupt
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			shown, logged = out.String()[shownBefore:], log.String()[loggedBefore:]
			shownBefore, loggedBefore = shownBefore+len(shown), loggedBefore+len(logged)
			return shown, logged
		}
		want := func(when, text string, parts ...string) {
			t.Helper()
			for _, part := range parts {
				part, absent := strings.CutPrefix(part, "!")
				if strings.Contains(text, part) == absent {
					t.Errorf("%s: %q is %t in\n%s", when, part, !absent, text)
				}
			}
		}
		shown, logged := next(false)
		want("without the files", shown, "\ngood 1\n", "!\napi ", "!\nscript ")
		want("without the files", logged, "ERROR", "setting=jobs.api error=\"tls_config.ca_file: stat "+dir+"/ca.pem: no such file",
			"setting=jobs.script error=\"script.file: "+dir+"/s.star does not exist", "msg=started", "job=api error=\"GET http://api.test/: tls_config.ca_file", "job=script error=\"script.file")

		put("ca.pem", string(authority))
		put("s.star", "def get_script(): return 3")
		shown, _ = next(false)
		want("with the files", shown, "\ngood 1\n", "\napi 2\n", "\nscript 3\n")

		if err := os.Remove(filepath.Join(dir, "s.star")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
			t.Fatal(err)
		}
		shown, logged = next(true)
		want("a reload without the script that came late", shown, "\ngood 1\n", "!\napi ")
		want("a reload without them", logged, "msg=reloaded", "setting=jobs.script", "setting=jobs.api")

		put("s.star", "def get_script(): return 4")
		put("ca.pem", string(authority))
		shown, _ = next(true)
		want("the files are there again", shown, "\napi 2\n", "\nscript 4\n")

		if err := os.Remove(filepath.Join(dir, "s.star")); err != nil {
			t.Fatal(err)
		}
		shown, logged = next(true)
		want("a reload without a script that was read", shown, "\nscript 4\n")
		want("a reload without a script that was read", logged, "msg=reloaded", "setting=jobs.script", "!run failed")
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("exit code %d", got)
		}
	})
}
