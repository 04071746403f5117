//go:build e2e

// Package e2e tests the binary with receivers and databases as separate programs. Start it with run.sh.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/deploy/examples"
)

// peers are the base URLs of the running programs.
type peers struct{ api, page, prometheus, gateway string }

// process is a program that a test has started.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output collects what a program writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a program. The program is killed at the end of the test, and if the test process dies.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(name, args...))
}

// startCommand is start for a command.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: filepath.Base(cmd.Path), cmd: cmd, out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the result is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.name, p.out)
		}
	})
	return p
}

// stop interrupts a program. The program must exit with code 0 within the given time.
func (p *process) stop(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s exited with %d", p.name, code)
		}
		t.Logf("%s stopped after %s", p.name, time.Since(began).Round(time.Millisecond))
	case <-time.After(within):
		t.Errorf("%s does not stop", p.name)
	}
}

// kill kills a program and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended
	<-p.done
}

// poll calls ask until it returns nil.
func poll(ctx context.Context, t *testing.T, what string, ask func() error) {
	t.Helper()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// waitForReady waits until a URL answers 200.
func waitForReady(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	poll(ctx, t, "wait for "+url, func() error {
		response, err := http.Get(url)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	})
}

// freeAddress returns a loopback address with an unused port.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: start the tests with deploy/e2e/run.sh", name)
	}
	return value
}

// startAll starts the sample API, Prometheus, the Pushgateway, and an agent that delivers to Prometheus and to the Pushgateway.
func startAll(ctx context.Context, t *testing.T) (at peers, demo, agent *process) {
	t.Helper()
	dir, cton := t.TempDir(), env(t, "CTON")
	page, prometheus, gateway := freeAddress(t), freeAddress(t), freeAddress(t)
	at = peers{page: "http://" + page, prometheus: "http://" + prometheus, gateway: "http://" + gateway}

	demo = start(t, cton, "demo", "--listen", freeAddress(t))
	poll(ctx, t, "wait for the demo", func() error {
		found := regexp.MustCompile(`API: +(http://[0-9.:]+)`).FindStringSubmatch(demo.out.String())
		if found == nil {
			return fmt.Errorf("it has not printed the address of its API")
		}
		at.api = found[1]
		return nil
	})

	scrapes := fmt.Sprintf(`
scrape_configs:
  - job_name: page
    scrape_interval: 2s
    static_configs: [{targets: [%q], labels: {via: scrape}}]
`, page)
	start(t, env(t, "PROMETHEUS"), "--config.file="+write(t, dir, "prometheus.yml", scrapes),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+prometheus, "--web.enable-remote-write-receiver")
	start(t, env(t, "PUSHGATEWAY"), "--web.listen-address="+gateway)
	waitForReady(ctx, t, at.prometheus+"/-/ready")
	waitForReady(ctx, t, at.gateway+"/-/ready")

	_, jobs, found := strings.Cut(examples.Demo(at.api, page), "\njobs:")
	if !found {
		t.Fatal("the demo's configuration has no jobs")
	}
	head := fmt.Sprintf(`
external_labels: {via: push, instance: e2e}
sinks:
  page: {expose: {listen: %q}}
  gateway: {pushgateway: {url: %q}}
  receiver: {remote_write: {url: "%s/api/v1/write"}}
jobs:`, page, at.gateway, at.prometheus)
	config := write(t, dir, "cton.yaml", head+jobs)
	if out, err := exec.CommandContext(ctx, cton, "check", "--connect", "-c", config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return at, demo, start(t, cton, "run", "-c", config)
}
