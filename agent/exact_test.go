package agent_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
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
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

var (
	histories = flag.Int("histories", 50, "how many histories TestExactness goes through")
	firstSeed = flag.Int("first", 0, "the seed of the first history")
)

// together is the number of histories that share a receiver and a bubble of fake time (synctest).
const together = 10

// TestExactness checks that nothing is lost and nothing is counted twice. It makes histories of events. An API shows them in pages,
// repeats them, reports them late, forgets them and fails. The agent is stopped, killed and started again at any point. In the end, the
// counters and histograms in a real storage must agree with the history.
func TestExactness(t *testing.T) {
	n := *histories
	if testing.Short() {
		n = together
	}
	for first := *firstSeed; first < *firstSeed+n; first += together {
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

// lockedText is a text that several processes can append to at once.
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

// The length of a history, in minutes, and the time without events and faults after it.
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

// configuration returns a configuration that counts the API's events in one of several ways, chosen at random.
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
	if x.dice.IntN(5) == 0 { // a spool, which takes real time and not fake time
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
  totals:
    schedule: "@every 50s"
    timeout: 15s
    http: {url: "http://%s/total"}
    metrics:
      seen_total: {type: counter, value: .total}
      seen_change: {type: gauge, delta: true, value: .total}
`, x.seed, spool, []string{"@every 60s", "* * * * *", "@every 45s"}[x.dice.IntN(3)], window, host, query, paging, host, closed, host)
}

// live goes through the history. Again and again, the agent runs, is stopped or killed, and starts after a while.
func (x *exact) live() {
	end := x.begin.Add(exactMinutes * time.Minute)
	for time.Now().Before(end) {
		span := 5*time.Minute + time.Duration(x.dice.Int64N(int64(10*time.Minute)))
		if time.Until(end) < 20*time.Minute {
			a := x.start(&process{})
			time.Sleep(time.Until(end.Add(exactPeace)))
			a.stop()
			break
		}
		switch x.dice.IntN(6) {
		case 0, 1:
			a := x.start(&process{})
			time.Sleep(span)
			a.stop()
		case 2:
			a := x.start(&process{})
			time.Sleep(span)
			a.kill()
		case 3, 4: // at an operation of the state's disk
			x.start(&process{killAtOp: 1 + x.dice.IntN(50), powerCut: x.dice.IntN(2) == 0}).wait(span)
		case 5: // before or after it sends something
			x.start(&process{killAtSend: 1 + x.dice.IntN(50), after: x.dice.IntN(2) == 0}).wait(span)
		}
		time.Sleep(time.Duration(x.dice.Int64N(int64(4 * time.Minute))))
	}
	x.closing.Wait()
}

// process is one life of the agent.
type process struct {
	*exact
	end  context.CancelFunc
	done chan struct{}

	killAtOp   int  // number of the operation on the state's disk at which the process is killed; 0 = never
	powerCut   bool // a kill loses some or all of the data that was not synced
	killAtSend int  // number of the write, over all connections, at which the process is killed; 0 = never
	after      bool // killAtSend kills after this write, not before it

	mu     sync.Mutex
	dead   bool // the process was killed: nothing that it still sends or writes has an effect
	killed chan struct{}
	conns  []net.Conn
	ops    int
	sends  int
	disk   *stateDisk
}

func (x *exact) start(p *process) *process {
	x.starts++
	file := filepath.Join(x.dir, "cton.yaml")
	if err := os.WriteFile(file, []byte(x.config), 0o600); err != nil {
		x.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.exact, p.end, p.done, p.killed = x, cancel, make(chan struct{}), make(chan struct{})
	app := command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: &x.logs, Dial: p.dial,
		StateDir: func(path string) durable.FS {
			p.disk = &stateDisk{Dir: durable.NewDir(path), path: path, p: p, synced: map[string]int64{}}
			return p.disk
		},
	}
	go func() {
		defer close(p.done)
		if code := app.Main(ctx, []string{"run", "-c", file}); code != 0 && !p.isDead() {
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
		conn = &sending{conn, p}
	}
	return conn, err
}

// sending is a connection of a process. When the connection sends, the process is perhaps killed.
type sending struct {
	net.Conn
	p *process
}

func (c *sending) Write(b []byte) (n int, err error) {
	c.p.mu.Lock()
	if c.p.counts() {
		c.p.sends++
	}
	kill, dead := c.p.killAtSend > 0 && c.p.sends == c.p.killAtSend, c.p.dead
	c.p.mu.Unlock()
	if dead {
		return 0, os.ErrClosed
	}
	if kill && !c.p.after {
		c.p.kill()
		return 0, os.ErrClosed
	}
	n, err = c.Conn.Write(b)
	if kill {
		c.p.kill()
	}
	return n, err
}

// counts reports whether an operation is counted, so that killAtOp and killAtSend can kill the process at this operation. Operations in the
// first four minutes of a history are not counted, since the agent's first run must end before the test can compare anything.
func (p *process) counts() bool { return time.Since(p.begin) > 4*time.Minute }

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// stop stops the process in an orderly way, and waits until it has ended.
func (p *process) stop() {
	p.end()
	<-p.done
}

// wait waits until the process is killed. If the process still runs after the time span, wait stops the process.
func (p *process) wait(span time.Duration) {
	select {
	case <-p.killed:
	case <-time.After(span):
		if !p.isDead() {
			p.stop()
		}
	}
}

// kill acts like kill -9: only what is on disk at this moment is left.
func (p *process) kill() {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return
	}
	p.dead = true
	conns := p.conns
	p.mu.Unlock()
	next := p.copyDir()
	if p.powerCut {
		p.disk.lose(next)
	}
	p.dir = next
	p.kills++
	for _, conn := range conns {
		conn.Close()
	}
	p.end()
	p.closing.Go(func() { <-p.done })
	close(p.killed)
}

// copyDir copies the process' directory and returns the path of the copy. It starts again if a file vanishes during the copy. This can
// happen, since the process still removes what the receiver has accepted.
func (p *process) copyDir() (dir string) {
	for range 100 {
		dir = p.TempDir()
		err := os.CopyFS(dir, os.DirFS(p.dir))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			p.Error(err)
			return dir
		}
	}
	p.Error("the directory of a killed process does not come to rest")
	return dir
}

// stateDisk is the directory of the state file. The process that uses this directory is perhaps killed at an operation.
type stateDisk struct {
	*durable.Dir
	path string
	p    *process

	mu     sync.Mutex
	synced map[string]int64 // the sizes of files as of their last sync
}

// do does an operation unless the process is killed at it or was killed before. It first waits some milliseconds. Code that wrongly does
// not wait for the operation is then ahead of the operation.
func (d *stateDisk) do(f func() error) error {
	time.Sleep(time.Duration(d.p.killAtOp) * time.Millisecond)
	d.p.mu.Lock()
	if d.p.counts() {
		d.p.ops++
	}
	kill, dead := d.p.killAtOp > 0 && d.p.ops == d.p.killAtOp, d.p.dead
	d.p.mu.Unlock()
	if kill {
		d.p.kill()
	}
	if kill || dead {
		return disktest.ErrEnded
	}
	return f()
}

// lose truncates the files in dir, a copy of the directory, somewhere in the part that was not synced.
func (d *stateDisk) lose(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, synced := range d.synced {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Size() > synced {
			if err := os.Truncate(path, synced+d.p.dice.Int64N(info.Size()-synced+1)); err != nil {
				d.p.Error(err)
			}
		}
	}
}

func (d *stateDisk) Create(name string) (durable.File, error) { return d.open(name, d.Dir.Create) }
func (d *stateDisk) Append(name string) (durable.File, error) { return d.open(name, d.Dir.Append) }

func (d *stateDisk) open(name string, how func(string) (durable.File, error)) (f durable.File, err error) {
	err = d.do(func() error {
		f, err = how(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &stateFile{f, d, name}, nil
}

func (d *stateDisk) Rename(from, to string) error {
	return d.do(func() error { return d.Dir.Rename(from, to) })
}

func (d *stateDisk) Remove(name string) error {
	return d.do(func() error { return d.Dir.Remove(name) })
}
func (d *stateDisk) SyncDir() error { return d.do(d.Dir.SyncDir) }

type stateFile struct {
	durable.File
	disk *stateDisk
	name string
}

func (f *stateFile) Write(b []byte) (n int, err error) {
	err = f.disk.do(func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *stateFile) Sync() error {
	return f.disk.do(func() error {
		if err := f.File.Sync(); err != nil {
			return err
		}
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		if info, err := os.Stat(filepath.Join(f.disk.path, f.name)); err == nil {
			f.disk.synced[f.name] = info.Size()
		}
		return nil
	})
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
		want[fmt.Sprintf("increase(events_total{%s}[%s] anchored)", labels, span)]++
	}
	wrong := []string{}
	for query, truth := range want {
		if got := storage.Value(x, end, query); got != truth {
			wrong = append(wrong, fmt.Sprintf("%s: %v, the truth is %v", query, got, truth))
		}
	}
	wrong = append(wrong, x.steps(storage)...)
	if len(wrong) > 0 {
		slices.Sort(wrong)
		x.Errorf("history %d, %d events, %d starts, %d kills, %d failures of the API:\n%s\n%s", x.seed, len(x.api.events), x.starts, x.kills,
			x.api.failed, strings.Join(wrong, "\n"), x.config)
		if os.Getenv("EXACT_LOG") != "" {
			x.Log(x.logs.String())
		}
	}
}

// steps returns what is wrong with the stored samples. No total may decrease, the totals of events must begin at zero, and each change of
// the API's total must be stored once.
func (x *exact) steps(storage *peers.Prometheus) (wrong []string) {
	for name, ours := range map[string]bool{
		"events_total": true, "took_seconds_count": true, "took_seconds_sum": true, "took_seconds_bucket": true, "count_total": true, "seen_total": false,
	} {
		for series, points := range storage.Points(x, fmt.Sprintf(`%s{history="%d"}`, name, x.seed)) {
			last := math.Inf(-1)
			if ours && points[0].Value != 0 {
				wrong = append(wrong, fmt.Sprintf("%s begins at %v", series, points[0].Value))
			}
			for i, p := range points {
				at := time.UnixMilli(p.Time).Sub(x.begin)
				switch {
				case p.Stale:
				case p.Value < last:
					wrong = append(wrong, fmt.Sprintf("%s steps back at %s, from %v to %v", series, at, last, p.Value))
				case !ours && p.Value == 0 && i > 0 && last > 0:
					wrong = append(wrong, fmt.Sprintf("%s is zero at %s", series, at))
				}
				if !p.Stale {
					last = p.Value
				}
			}
		}
	}
	changes, first, lastTotal := 0.0, math.NaN(), math.NaN()
	for _, points := range storage.Points(x, fmt.Sprintf(`seen_change{history="%d"}`, x.seed)) {
		for _, p := range points {
			if !p.Stale {
				changes += p.Value
			}
		}
	}
	for _, points := range storage.Points(x, fmt.Sprintf(`seen_total{history="%d"}`, x.seed)) {
		first = points[0].Value
		for _, p := range points {
			if !p.Stale {
				lastTotal = p.Value
			}
		}
	}
	if lastTotal-first != changes {
		wrong = append(wrong, fmt.Sprintf("the changes add up to %v, the total went from %v to %v", changes, first, lastTotal))
	}
	if truth := float64(len(x.api.events)); lastTotal != truth {
		wrong = append(wrong, fmt.Sprintf("the total is %v, the truth is %v", lastTotal, truth))
	}
	return wrong
}
