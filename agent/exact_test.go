package agent_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

var histories = flag.Int("histories", 50, "how many histories TestExactness goes through")

// together is how many histories share a receiver and a bubble of fake time.
const together = 10

// TestExactness holds the counters and histograms that a real storage ends up with against what has happened: histories of
// events, an API that pages, repeats, tells late, forgets and fails, and an agent that is stopped, killed and started again
// at any point. Nothing may be lost and nothing counted twice.
func TestExactness(t *testing.T) {
	n := *histories
	if testing.Short() {
		n = together
	}
	for first := 0; first < n; first += together {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { exactly(t, uint64(first)) })
		})
	}
}

func exactly(t *testing.T, first uint64) {
	network, storage := memnet.NewNetwork(), peers.NewPrometheus(t)
	network.Serve(t, "prometheus.test:80", storage)
	var all sync.WaitGroup
	var runs []*exact
	for seed := first; seed < first+together; seed++ {
		x := newExact(t, network, seed)
		runs = append(runs, x)
		all.Go(x.live)
	}
	all.Wait()
	for _, x := range runs {
		x.check(storage)
	}
}

// exact is one history, and the agent that goes through it.
type exact struct {
	*testing.T
	seed    uint64
	dice    *rand.Rand
	net     *memnet.Network
	api     *flaky
	begin   time.Time
	dir     string
	config  string
	starts  int
	kills   int
	logs    lockedText
	closing sync.WaitGroup
}

// lockedText is what several processes write at once.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The length of a history: events until its end, and then some minutes in peace.
const (
	exactMinutes = 40
	exactPeace   = 14 * time.Minute
)

func newExact(t *testing.T, network *memnet.Network, seed uint64) *exact {
	dice := rand.New(rand.NewPCG(seed, 1))
	x := &exact{T: t, seed: seed, dice: dice, net: network, dir: t.TempDir(), begin: time.Now()}
	x.api = &flaky{
		events: newHappenings(dice, x.begin, exactMinutes), begin: x.begin, calm: x.begin.Add(exactMinutes * time.Minute),
		paging: []string{"cursor", "page", "next"}[dice.IntN(3)], fails: dice.Float64() * 0.15, dice: rand.New(rand.NewPCG(seed, 2)), size: 1 + dice.IntN(6),
	}
	host := fmt.Sprintf("api%d.test", seed)
	network.Serve(t, host+":80", x.api)
	x.config = x.configuration(host)
	return x
}

const closed = `, query: {from: "{{ .Window.Start }}", to: "{{ .Window.End }}"}`

// configuration is one of the ways to count the API's events.
func (x *exact) configuration(host string) string {
	paging := map[string]string{
		"cursor": "{cursor: {from: .next, param: after}, items: .events, max_pages: 1000}",
		"page":   "{page: {param: page}, items: .events, max_pages: 1000}",
		"next":   "{next_url: .next, items: .events, max_pages: 1000}",
	}[x.api.paging]
	query, window := "", ""
	switch x.dice.IntN(4) {
	case 0:
		query = `, query: {from: '{{ rfc3339 (before "4m" .Window.Start) }}'}`
	case 1:
		window, query = "window: {length: 2m, settle: 4m}", closed
	case 2:
		window, query = "window: {length: 90s, settle: 2m, overlap: 3m}", closed
	}
	spool := ""
	if x.dice.IntN(5) == 0 { // the disk's own pace, not fake time's
		spool = ", spool: {dir: spool}"
	}
	return fmt.Sprintf(`
state_file: state
external_labels: {history: "%d", instance: test}
sinks:
  tsdb: {remote_write: {url: "http://prometheus.test/api/v1/write"%s}}
jobs:
  events:
    schedule: "%s"
    timeout: 15s
    %s
    http: {url: "http://%s/events"%s, paginate: %s}
    metrics:
      events_total: {type: counter, items: ".events[]", once_by: .id, labels: {team: .team}}
      took_seconds: {type: histogram, items: ".events[]", once_by: .id, value: .seconds, labels: {team: .team}, buckets: [1, 5, 20]}
      native_seconds: {type: histogram, items: ".events[]", once_by: .id, value: .seconds, native: true}
  counts:
    schedule: "@every 50s"
    timeout: 15s
    window: {length: 3m, settle: 3m}
    http: {url: "http://%s/count"%s}
    metrics:
      count_total: {type: counter, from: increment, value: .count}
`, x.seed, spool, []string{"@every 60s", "* * * * *", "@every 45s"}[x.dice.IntN(3)], window, host, query, paging, host, closed)
}

// live goes through the history: the agent runs, ends in one way or another, is away for a while, and comes back.
func (x *exact) live() {
	end := x.begin.Add(exactMinutes * time.Minute)
	for time.Now().Before(end) {
		a := x.start()
		span := 5*time.Minute + time.Duration(x.dice.Int64N(int64(30*time.Minute)))
		if time.Until(end) < span+10*time.Minute {
			time.Sleep(time.Until(end.Add(exactPeace)))
			a.stop()
			break
		}
		time.Sleep(span)
		if x.dice.IntN(2) == 0 {
			a.stop()
		} else {
			x.kills++
			a.kill()
		}
		time.Sleep(time.Duration(x.dice.Int64N(int64(8 * time.Minute))))
	}
	x.closing.Wait()
}

// process is one life of the agent.
type process struct {
	*exact
	end  context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	dead  bool // nothing of it reaches anybody
	conns []net.Conn
}

func (x *exact) start() *process {
	x.starts++
	file := filepath.Join(x.dir, "cton.yaml")
	if err := os.WriteFile(file, []byte(x.config), 0o600); err != nil {
		x.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{exact: x, end: cancel, done: make(chan struct{})}
	app := command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: &x.logs, Dial: p.dial,
	}
	go func() {
		defer close(p.done)
		if code := app.Main(ctx, []string{"run", "-c", file}); code != 0 {
			x.Errorf("history %d: exit code %d:\n%s", x.seed, code, x.logs.String())
		}
	}()
	return p
}

func (p *process) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil, os.ErrClosed
	}
	conn, err := p.net.Dial(ctx, network, address)
	if err == nil {
		p.conns = append(p.conns, conn)
	}
	return conn, err
}

// stop is an orderly end.
func (p *process) stop() {
	p.end()
	<-p.done
}

// kill is kill -9: what is on disk at this moment is all that is left.
func (p *process) kill() {
	next := p.TempDir()
	if err := os.CopyFS(next, os.DirFS(p.dir)); err != nil {
		p.Error(err)
	}
	p.dir = next
	p.mu.Lock()
	p.dead = true
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.end()
	p.closing.Go(func() { <-p.done })
}

func (x *exact) check(storage *peers.Prometheus) {
	end := x.begin.Add(exactMinutes*time.Minute + exactPeace)
	want := map[string]float64{}
	span := end.Sub(x.begin).Truncate(time.Second).String()
	for _, e := range x.api.events {
		labels := fmt.Sprintf(`history="%d",team=%q`, x.seed, e.Team)
		want[fmt.Sprintf("events_total{%s}", labels)]++
		want[fmt.Sprintf("took_seconds_count{%s}", labels)]++
		want[fmt.Sprintf("took_seconds_sum{%s}", labels)] += e.Seconds
		for _, bound := range []string{"1.0", "5.0", "20.0"} {
			var le float64
			_, _ = fmt.Sscan(bound, &le)
			if e.Seconds <= le {
				want[fmt.Sprintf("took_seconds_bucket{le=%q,%s}", bound, labels)]++
			}
		}
		want[fmt.Sprintf(`count_total{history="%d"}`, x.seed)]++
		native := fmt.Sprintf(`native_seconds{history="%d"}`, x.seed)
		want["histogram_count("+native+")"]++
		want["histogram_sum("+native+")"] += e.Seconds
		if x.kills == 0 { // a total that had been told may go back then
			want[fmt.Sprintf("increase(events_total{%s}[%s] anchored)", labels, span)]++
		}
	}
	wrong := []string{}
	for query, truth := range want {
		if got := storage.Value(x, end, query); got != truth {
			wrong = append(wrong, fmt.Sprintf("%s: %v, the truth is %v", query, got, truth))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		x.Errorf("history %d, %d events, %d starts, %d kills, %d failures of the API:\n%s\n%s", x.seed, len(x.api.events), x.starts, x.kills,
			x.api.failed, strings.Join(wrong, "\n"), x.config)
		if os.Getenv("EXACT_LOG") != "" {
			x.Log(x.logs.String())
		}
	}
}
