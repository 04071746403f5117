//go:build e2e

// Package e2e delivers to real peers, which are programs of their own: run.sh begins it.
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
	"testing"
	"time"

	"github.com/collectington/collectington/deploy/examples"
)

// peers are the programs at work, by their roots.
type peers struct{ api, page, prometheus, gateway string }

// process is a program that was started here.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output is what a program has written so far.
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

// begin starts a program, which ends with the test at the latest.
func begin(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState keeps what it has to say
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

// stop interrupts a program as Ctrl-C would, and wants it to end well and soon.
func (p *process) stop(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s ended with %d", p.name, code)
		}
		t.Logf("%s stopped after %s", p.name, time.Since(began).Round(time.Millisecond))
	case <-time.After(within):
		t.Errorf("%s does not stop", p.name)
	}
}

// kill ends a program as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // may have ended by itself, which the test will see
	<-p.done
}

// poll asks until the answer is nil.
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

// ready waits until an address answers 200.
func ready(ctx context.Context, t *testing.T, url string) {
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

// freeAddress is an address on loopback that nobody listens on.
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

func environment(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: begin with deploy/e2e/run.sh", name)
	}
	return value
}

// beginAll starts the sample API, the peers, and an agent that delivers to both.
func beginAll(ctx context.Context, t *testing.T) (at peers, demo, agent *process) {
	t.Helper()
	dir, cton := t.TempDir(), environment(t, "CTON")
	page, prometheus, gateway := freeAddress(t), freeAddress(t), freeAddress(t)
	at = peers{page: "http://" + page, prometheus: "http://" + prometheus, gateway: "http://" + gateway}

	demo = begin(t, cton, "demo", "--listen", freeAddress(t))
	poll(ctx, t, "wait for the demo", func() error {
		found := regexp.MustCompile(`API: +(http://[0-9.:]+)`).FindStringSubmatch(demo.out.String())
		if found == nil {
			return fmt.Errorf("has not said where its API is")
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
	begin(t, environment(t, "PROMETHEUS"), "--config.file="+write(t, dir, "prometheus.yml", scrapes),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+prometheus, "--web.enable-remote-write-receiver")
	begin(t, environment(t, "PUSHGATEWAY"), "--web.listen-address="+gateway)
	ready(ctx, t, at.prometheus+"/-/ready")
	ready(ctx, t, at.gateway+"/-/ready")

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
	return at, demo, begin(t, cton, "run", "-c", config)
}
