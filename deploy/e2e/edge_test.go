//go:build e2e

package e2e

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	inprocess "github.com/collectington/collectington/sinks/sinktest/peers"
)

// faster is the speed of this test compared with the edge guide: the agent scrapes and sends 60 times as often, so that its traffic can be
// measured in a short time.
const faster = 60

// TestEdge runs the configuration of the edge guide with Debian's node_exporter on a read-only root, 60 times as fast. It counts the bytes
// that are transferred in a month, including TLS, and compares them with the guide. It also checks that nothing is lost when the receiver
// is down and the agent is killed.
func TestEdge(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a copy of this system")
	}
	guide, err := os.ReadFile("../guides/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(guide), "\n```yaml\n")
	config, _, _ = strings.Cut(config, "\n```\n")
	config = strings.NewReplacer(`"@every 60s"`, `"@every 1s"`, "localhost:9100", "localhost:9107").Replace(config) + "\nown_metrics: {interval: 2s}\n"
	everything := regexp.MustCompile(`(?m)^ {6}metric_relabel_configs:\n( {8}.*\n)+`).ReplaceAllString(config, "")
	if everything == config {
		t.Fatal("the configuration of the guide has no metric_relabel_configs")
	}
	other := strings.Replace(config, "      protocol: \"1.0\"", "      protocol: auto", 1)
	if other == config {
		t.Fatal("the configuration of the guide does not set the protocol")
	}
	for _, c := range []struct {
		row, config string
		idle        time.Duration // the receiver closes a connection that is idle for this time
		fails       bool          // also outage and kill
	}{
		{"the configuration above", config, time.Minute, true},
		{"with `protocol: auto`", other, time.Minute, false},
		{"with all metrics", everything, time.Minute, false},
		{"with a new connection each time", config, 100 * time.Millisecond, false},
	} {
		t.Run(c.row, func(t *testing.T) {
			found := regexp.MustCompile(`(?m)^\| ` + c.row + ` \|[^|]*\| (\d+) MB`).FindStringSubmatch(string(guide))
			if found == nil {
				t.Fatalf("the guide has no row %s", c.row)
			}
			said, _ := strconv.ParseFloat(found[1], 64)
			measured := runEdge(t, c.config, c.idle, c.fails)
			t.Logf("a month: %.0f MB, the guide has %.0f MB", measured, said)
			if measured > 1.6*said || measured < said/3 { // hosts have different numbers of series
				t.Errorf("a month costs %.0f MB, the guide has %.0f MB", measured, said)
			}
		})
	}
}

// runEdge runs the agent and returns the traffic of a month in MB. The receiver closes connections that are idle for the time "idle". If
// "fails" is true, the receiver is then down for a while, and the agent is killed.
func runEdge(t *testing.T, config string, idle time.Duration, fails bool) float64 {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	prometheus := inprocess.NewPrometheus(t)
	var down atomic.Bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "oslo-7" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		} else if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			prometheus.ServeHTTP(w, r)
		}
	}))
	counted := &countingListener{Listener: server.Listener}
	server.Listener = counted
	server.Config.IdleTimeout = idle
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca := write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	args := []string{"--mount", "--pid", "--fork", "--kill-child", "./edge.sh", env(t, "CTON"), env(t, "NODE_EXPORTER"), write(t, dir, "cton.yaml", config), ca}
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), "EDGE_SITE=oslo", "EDGE_HOST=oslo-7", "RECEIVER_URL="+server.URL+"/api/v1/write", "RECEIVER_PASSWORD=secret")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	agent := startCommand(t, cmd)
	stored := func() []inprocess.Point {
		return prometheus.Points(t, `node_time_seconds{instance="oslo-7", site="oslo", job="node"}`)[`{__name__="node_time_seconds", instance="oslo-7", job="node", site="oslo"}`]
	}
	atLeast := func(n int) func() error {
		return func() error {
			select {
			case <-agent.done:
				if agent.cmd.ProcessState.ExitCode() == 77 {
					t.Skip("it cannot run here")
				}
				t.Fatal("it has ended")
			default:
			}
			if got := len(stored()); got < n {
				return fmt.Errorf("%d scrapes have arrived, want %d", got, n)
			}
			return nil
		}
	}
	poll(ctx, t, "the first scrapes", atLeast(5))
	began, before := time.Now(), counted.bytes.Load()
	poll(ctx, t, "20 minutes of a month", atLeast(len(stored())+20))
	month := float64(counted.bytes.Load()-before) / time.Since(began).Seconds() / faster * (30 * 24 * time.Hour).Seconds() / 1e6
	t.Logf("%d series of the host, %d of the agent", len(prometheus.Points(t, `{job="node"}`)), len(prometheus.Points(t, `{job!="node"}`)))

	if fails {
		outlive(ctx, t, stored, &down, in)
	}
	if _, err := io.WriteString(in, "stop\n"); err != nil {
		t.Fatal(err)
	}
	<-agent.done
	if !strings.HasSuffix(agent.out.String(), "== passed\n") {
		t.Errorf("it ended with %d:\n%s", agent.cmd.ProcessState.ExitCode(), agent.out)
	}
	return month
}

// outlive takes the receiver down, kills the agent, and checks that the samples of the scrapes during the outage arrive.
func outlive(ctx context.Context, t *testing.T, stored func() []inprocess.Point, down *atomic.Bool, in io.Writer) {
	t.Helper()
	down.Store(true)
	time.Sleep(4 * time.Second)
	at := time.Now().UnixMilli()
	time.Sleep(2 * time.Second)
	if _, err := io.WriteString(in, "kill\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	down.Store(false)
	poll(ctx, t, "the scrapes after the kill", func() error {
		if points := stored(); points[len(points)-1].Time < at+6000 {
			return errors.New("none yet")
		}
		return nil
	})
	during := 0
	for _, p := range stored() {
		if p.Time > at-4000 && p.Time < at+2000 {
			during++
		}
	}
	if during < 4 { // there is one scrape a second, but the machine may be busy
		t.Errorf("%d scrapes of the 6 s before the kill have arrived", during)
	}
}

// countingListener counts the bytes of its connections in both directions.
type countingListener struct {
	net.Listener
	bytes atomic.Int64
}

type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, &l.bytes}, nil
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}
