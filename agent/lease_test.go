//go:build unix

package agent_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/lease/leasetest"
	agentrun "github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
)

// pair is a cluster whose two agents share a lease.
type pair struct {
	*cluster
	kube    *leasetest.API
	account string // directory of the service account
	lease   string // name of the lease of agents that are started
}

// leader is an agent of a pair.
type leader struct {
	pod
	apart atomic.Bool // the agent does not reach the API server
	dead  atomic.Bool // the agent was killed: it reaches nothing
}

// newPair returns a pair without agents. The API server answers only requests with the current token of the service account.
func newPair(t *testing.T, jobs []string, shared bool) *pair {
	p := &pair{cluster: newCluster(t, jobs), kube: leasetest.New("token-1"), account: t.TempDir(), lease: "cton"}
	p.shared = shared
	certificates := httptest.NewUnstartedServer(nil) // only for its certificate, which is valid for example.com
	certificates.StartTLS()
	certificate := certificates.TLS.Certificates[0]
	certificates.Close()
	server := &http.Server{Handler: p.kube}
	listener := tls.NewListener(p.net.Listen("example.com:6443"), &tls.Config{Certificates: []tls.Certificate{certificate}})
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	t.Setenv("KUBERNETES_SERVICE_HOST", "example.com")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	for name, text := range map[string]string{
		"namespace": "monitoring\n", "token": "token-1",
		"ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
	} {
		if err := os.WriteFile(filepath.Join(p.account, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// lead starts an agent on a host.
func (p *pair) lead(host string) *leader {
	p.Helper()
	file := filepath.Join(p.dir, "cton.yaml")
	if !p.shared {
		text, err := os.ReadFile(file)
		if err != nil {
			p.Fatal(err)
		}
		p.write(host+".yaml", strings.Replace(string(text), "state_file: state", "state_file: state-"+host, 1))
		file = filepath.Join(p.dir, host+".yaml")
	}
	lease := p.lease
	ctx, cancel := context.WithCancel(context.Background())
	l := &leader{pod: pod{c: p.cluster, end: cancel, done: make(chan struct{}), logs: &lockedText{}}}
	var mu sync.Mutex
	var open []net.Conn
	app := command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: l.logs, Host: host, ServiceAccount: p.account,
		Abort: func() { p.Errorf("%s ends itself:\n%s", host, l.logs) },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if l.dead.Load() || l.apart.Load() && strings.HasPrefix(address, "example.com") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			conn, err := p.net.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, conn)
			return &cut{Conn: conn, off: func() bool {
				return l.dead.Load() || l.apart.Load() && strings.HasPrefix(address, "example.com")
			}}, nil
		},
	}
	go func() {
		defer close(l.done)
		if code := app.Main(ctx, []string{"run", "-c", file, "--lease", lease}); code != 0 {
			p.Errorf("%s: exit code %d:\n%s", host, code, l.logs)
		}
	}()
	return l
}

// cut is a connection that can be off. Everything that is written to the connection while it is off is lost.
type cut struct {
	net.Conn
	off func() bool
}

func (c *cut) Write(b []byte) (int, error) {
	if c.off() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// active returns the replicas that are active according to their metrics in Prometheus.
func (p *pair) active() string {
	p.Helper()
	var all []string
	for name, value := range p.storage.Query(p.T, time.Now(), `sum by (replica) (cton_lease_active)`) {
		all = append(all, fmt.Sprintf("%s %v", name, value))
	}
	return strings.Join(all, ", ")
}

// TestLease checks two agents that share a state file and run the same jobs. One agent takes over after the other has stopped in an orderly
// way, or when the other cannot reach the API server. The totals continue, and nothing is counted twice or lost.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := namesOf(5)
		p := newPair(t, jobs, true)
		first := p.lead("cton-0")
		time.Sleep(time.Minute)
		second := p.lead("cton-1")
		time.Sleep(time.Minute)
		if log := second.logs.String(); !strings.Contains(log, `msg="standby: another process holds the lease and runs the jobs" lease=cton holder=cton-0`) {
			t.Errorf("the log of the second:\n%s", log)
		}

		// Kubernetes renews the token.
		p.kube.SetToken("token-2")
		if err := os.WriteFile(filepath.Join(p.account, "token"), []byte("token-2"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)

		first.stop()
		stopped := p.asked()["/job-0"]
		time.Sleep(5 * time.Second)
		if p.asked()["/job-0"] == stopped {
			t.Errorf("no job runs five seconds after the holder has stopped:\n%s", second.logs)
		}
		time.Sleep(time.Minute)
		first = p.lead("cton-0")
		time.Sleep(time.Minute + 3*time.Second)

		second.apart.Store(true)
		time.Sleep(15 * time.Second)
		if log := first.logs.String(); !strings.Contains(log, "this process holds the lease") {
			t.Errorf("after 15 s the other has not taken over:\n%s\n%s", log, second.logs)
		}
		time.Sleep(2 * time.Minute)
		second.apart.Store(false)
		time.Sleep(2 * time.Minute)
		t.Log(p.active())
		first.stop()
		time.Sleep(time.Minute)
		second.stop()
		p.check(jobs)
		if rate := p.storage.Value(t, time.Now(), `count(count by (instance, job) ({job=~"job-.*"}))`); rate != 5 {
			t.Errorf("%v pairs of instance and job, want one for each job", rate)
		}
	})
}

// TestLeaseForgetsTokens checks that a process removes tokens from the state file, which no process has used for 90 days, only when it holds the
// lease.
func TestLeaseForgetsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, namesOf(1), true)
		path, name := filepath.Join(p.dir, "state"), "\x00logins/plug/token/http://a:80"
		file, problems, err := state.Open(t.Context(), path, state.Options{Shared: true, Fold: agentrun.FoldSaved, Log: slog.New(slog.DiscardHandler)})
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		file.Append(name, []byte("settings\ntoken"))
		file.Close()
		time.Sleep(100 * 24 * time.Hour)
		stored := func() string {
			sections, _, err := state.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(state.NewestOf(sections, name)[name].Data)
		}
		only := p.lead("cton-0")
		only.apart.Store(true)
		time.Sleep(5 * time.Minute)
		if got := stored(); got != "settings\ntoken" {
			t.Errorf("without the lease, the process has changed the token to %q", got)
		}
		only.apart.Store(false)
		time.Sleep(5 * time.Minute)
		if got := stored(); strings.Contains(got, "token") {
			t.Errorf("with the lease, the process has left %q", got)
		}
		only.stop()
	})
}

// TestTwoLeases checks two agents with different leases and the same state file. Each logs that another lease uses its state file: the
// second agent in its first term, the first agent in its next term.
func TestTwoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, namesOf(1), true)
		first := p.lead("cton-0")
		time.Sleep(time.Minute)
		p.lease = "other"
		second := p.lead("cton-1")
		time.Sleep(time.Minute)
		const said = `level=ERROR msg="jobs of another lease use this state file too, so that totals can start from zero: give each lease its own state_file, unless the other one is not used any more" lease=`
		if log := second.logs.String(); strings.Count(log, said+"other others=cton\n") != 1 || strings.Contains(first.logs.String(), said) {
			t.Errorf("the log of the second:\n%s\nof the first:\n%s", log, first.logs)
		}
		first.stop()
		p.lease = "cton"
		first = p.lead("cton-0")
		time.Sleep(time.Minute)
		if log := first.logs.String(); strings.Count(log, said+"cton others=other\n") != 1 {
			t.Errorf("the log of the first:\n%s", log)
		}
		first.stop()
		second.stop()
	})
}

// counted returns by how much a job's counter has increased over all stored points. It starts from zero, and counts resets in the same way
// as increase().
func (p *pair) counted(series string) (sum float64) {
	p.Helper()
	for _, points := range p.storage.Points(p.T, series) {
		before := 0.0
		for _, point := range points {
			switch {
			case point.Stale:
				continue
			case point.Value < before:
				sum += point.Value
			default:
				sum += point.Value - before
			}
			before = point.Value
		}
	}
	return sum
}

// TestLeaseOwnState checks two agents that run the same jobs, each with its own state file. An agent continues from its file only if the
// other agent has not run the jobs in the meantime. Otherwise its totals start from zero, so that nothing is counted twice.
func TestLeaseOwnState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := namesOf(2)
		p := newPair(t, jobs, false)
		first := p.lead("cton-0")
		time.Sleep(3*time.Minute + 5*time.Second)
		first.stop()
		time.Sleep(2 * time.Second)
		first = p.lead("cton-0") // no other has had the lease
		time.Sleep(3*time.Minute + 5*time.Second)
		asked := p.asked()["/job-0"]
		if got := p.storage.Value(t, time.Now(), `runs_total{of="job-0"}`); int(got) != asked {
			t.Errorf("the total is %v after a restart, want %d\n%s", got, asked, first.logs)
		}
		second := p.lead("cton-1")
		time.Sleep(time.Minute)
		first.dead.Store(true) // the host is gone
		time.Sleep(15 * time.Second)
		if log := second.logs.String(); !strings.Contains(log, "this process holds the lease") {
			t.Errorf("15 s after the holder was lost:\n%s", log)
		}
		time.Sleep(3 * time.Minute)
		if log := first.logs.String(); !strings.Contains(log, "the lease is lost") {
			t.Errorf("the log of the holder that was lost:\n%s", log)
		}
		first.dead.Store(false)
		time.Sleep(time.Minute)
		second.stop()
		time.Sleep(5 * time.Minute)
		if log := first.logs.String(); !strings.Contains(log, `msg="another process has run the jobs since this state file was written: totals start from zero`) {
			t.Errorf("the log of the first:\n%s", log)
		}
		first.stop()
		for _, job := range jobs {
			asked := p.asked()["/"+job]
			if got := p.counted(fmt.Sprintf("runs_total{of=%q}", job)); int(got) > asked || int(got) < asked-2 {
				t.Errorf("%s: %v runs are counted, the API was asked %d times", job, got, asked)
			}
		}
	})
}

// TestLeaseUnusableState checks an agent that gets the lease although its state file has vanished or cannot be written. The agent gives
// the lease back within seconds, logs this, and leaves the lease to the other agent, whose totals continue. When the file can be used
// again, the agent takes part again.
func TestLeaseUnusableState(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, file string) (mend func() error){
		"vanished": func(t *testing.T, file string) func() error {
			if err := os.Rename(file, file+"-away"); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Rename(file+"-away", file) }
		},
		"not writable": func(t *testing.T, file string) func() error {
			_, unlock, err := durable.NewDir(filepath.Dir(file)).WaitLock(t.Context(), filepath.Base(file)+".turn", "", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return func() error { unlock(); return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { unusableState(t, fault) })
		})
	}
}

func unusableState(t *testing.T, fault func(t *testing.T, file string) (mend func() error)) {
	jobs := namesOf(2)
	p := newPair(t, jobs, false)
	first := p.lead("cton-0")
	time.Sleep(3 * time.Minute)
	second := p.lead("cton-1")
	time.Sleep(30 * time.Second)
	first.stop()
	time.Sleep(3 * time.Minute)
	first = p.lead("cton-0")
	time.Sleep(30 * time.Second)

	mend := fault(t, filepath.Join(p.dir, "state-cton-0"))
	second.stop()
	before := p.counted(`runs_total{of="job-0"}`)
	time.Sleep(time.Minute)
	if now := p.counted(`runs_total{of="job-0"}`); now != before {
		t.Errorf("%v runs are counted without the state file", now-before)
	}
	const left = `level=ERROR msg="the jobs cannot run in this process, since it cannot read and write its state file: the lease is left to other processes until it can" lease=cton error="`
	if n := strings.Count(first.logs.String(), left); n != 1 {
		t.Errorf("%d times in the log:\n%s", n, first.logs)
	}
	second = p.lead("cton-1")
	time.Sleep(5 * time.Second)
	log := second.logs.String()
	if !strings.Contains(log, "this process holds the lease") || strings.Contains(log, "start from zero") {
		t.Errorf("the other process does not continue from its state:\n%s\n%s", log, first.logs)
	}
	time.Sleep(15 * time.Minute)
	if n := strings.Count(first.logs.String(), left); n != 2 {
		t.Errorf("%d times in the log after 15 minutes:\n%s", n, first.logs)
	}
	if err := mend(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(90 * time.Second)
	second.stop()
	time.Sleep(3 * time.Minute)
	first.stop()
	for _, want := range []string{"this process competes for the lease again", "another process has run the jobs since this state file was written"} {
		if n := strings.Count(first.logs.String(), want); n != 1 {
			t.Errorf("%d times %q:\n%s", n, want, first.logs)
		}
	}
	for _, job := range jobs {
		asked := p.asked()["/"+job]
		if got := p.counted(fmt.Sprintf("runs_total{of=%q}", job)); int(got) > asked || int(got) < asked-2 {
			t.Errorf("%s: %v runs are counted, the API was asked %d times", job, got, asked)
		}
	}
}
