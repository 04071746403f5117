package lease

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/clock/clocktest"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/lease/leasetest"
)

// cluster is an API server, and processes that want the same lease.
type cluster struct {
	t    *testing.T
	api  *leasetest.API
	net  *memnet.Network
	down atomic.Bool // no process reaches the API server

	mu     sync.Mutex
	active []string // processes whose jobs run, by name
	twice  bool     // two were active at one time
	last   *process // the process that has run the jobs last
	stale  string   // a process has continued from a state that was not the newest one
	log    strings.Builder
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, api: leasetest.New(""), net: memnet.NewNetwork()}
	c.net.Serve(t, "api.test:80", c.api)
	return c
}

// process is a process that wants the lease.
type process struct {
	*Lease
	c     *cluster
	clock *clocktest.Fake
	apart atomic.Bool  // the process does not reach the API server
	slow  atomic.Int64 // the longest time that a request takes to the API server, and that its response takes back
	back  atomic.Int64 // how long a response takes in addition
	lag   atomic.Int64 // how long a job continues after it should stop
	blind atomic.Bool  // the process cannot read its state
	full  atomic.Bool  // a blind process tries to write to its state before it gives the lease back
	stop  func()       // stops the process in an orderly way, and waits for it
	kill  func()       // ends the process at once

	aborted atomic.Bool // the process has ended itself
	terms   [][2]string // Number and Follows of all terms
	begun   string      // the last term in which the jobs have run
}

// newHolder starts a cluster with a process that holds the lease.
func newHolder(t *testing.T) (*cluster, *process) {
	t.Helper()
	c := newCluster(t)
	a := c.start("a", 0)
	c.until("a", Duration+time.Second)
	return c, a
}

// newPair starts a cluster with a process that holds the lease, and one that stands by.
func newPair(t *testing.T) (c *cluster, a, b *process) {
	t.Helper()
	c, a = newHolder(t)
	return c, a, c.start("b", 0)
}

// start starts a process whose clock is wrong by some time.
func (c *cluster) start(name string, wrong time.Duration) *process {
	p := &process{c: c, clock: clocktest.New()}
	p.clock.Set(wrong)
	host := &httpclient.Host{Dial: c.net.Dial, Tap: func(next http.RoundTripper) http.RoundTripper { return &road{p, next} }}
	client, err := host.Client(&httpclient.Settings{})
	if err != nil {
		c.t.Fatal(err)
	}
	killed, kill := context.WithCancel(c.t.Context())
	running, stop := context.WithCancel(killed)
	var working atomic.Pointer[atomic.Bool] // of the current term
	working.Store(&atomic.Bool{})
	p.Lease = New(Options{
		Server: &Server{Name: "cton", client: client, list: "http://api.test/apis/coordination.k8s.io/v1/namespaces/monitoring/leases"},
		Host:   name, Clock: p.clock.Clock, Log: slog.New(slog.NewTextHandler(lockedWriter{&c.mu, &c.log}, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		Working: func() func() bool { return working.Load().Load },
		Abort:   func() { p.aborted.Store(true); kill() },
	})
	competing, release := context.WithCancel(killed)
	var ended sync.WaitGroup
	ended.Go(func() { p.Run(competing) })
	ended.Go(func() {
		defer release()
		for {
			select {
			case t := <-p.Terms():
				p.terms = append(p.terms, [2]string{t.Number, t.Follows()})
				now := &atomic.Bool{}
				working.Store(now)
				p.work(running, killed, t, now)
			case <-running.Done():
				return
			}
		}
	})
	p.stop = func() { stop(); ended.Wait(); kill(); client.CloseIdleConnections() }
	p.kill = func() {
		p.apart.Store(true) // it sends nothing any more
		kill()
		ended.Wait()
		client.CloseIdleConnections()
	}
	return p
}

// loses cuts the process off from the API server. This lasts until the process has lost the lease, but not until another process takes
// the lease.
func (p *process) loses() {
	p.apart.Store(true)
	time.Sleep(9 * time.Second)
	p.apart.Store(false)
}

// work runs the jobs of a term until the term ends, and then for the time in the field lag.
func (p *process) work(running, killed context.Context, t *Term, working *atomic.Bool) {
	if p.blind.Load() {
		if p.full.Load() && t.Begin() {
			t.TakeBack()
		}
		select {
		case <-t.Context().Done():
		case <-running.Done():
		case <-time.After(15 * time.Second):
			p.GiveBack(t, "it cannot read its state")
		}
		return
	}
	if !t.Begin() {
		return
	}
	p.c.begin(p, t)
	working.Store(true)
	p.c.set(p.Host, true)
	defer working.Store(false)
	defer p.c.set(p.Host, false)
	select {
	case <-running.Done():
	case <-killed.Done():
	case <-t.Context().Done():
		select {
		case <-time.After(time.Duration(p.lag.Load())):
		case <-killed.Done():
		}
	}
}

// set makes a note that a process has become active, or is not active any more.
func (c *cluster) set(name string, active bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active = slices.DeleteFunc(c.active, func(n string) bool { return n == name })
	if active {
		c.active = append(c.active, name)
	}
	c.twice = c.twice || len(c.active) > 1
}

// TestTakenBackAfterLoss checks a term whose first record is still being written when the lease is lost and taken again. If the disk then takes
// only a part of that record, the term of the record does not count. If the record is on disk, it counts.
func TestTakenBackAfterLoss(t *testing.T) {
	for _, taken := range []bool{true, false} {
		clock := clocktest.New().Clock
		first := &Term{Number: "2", follows: "1", clock: clock, renewed: clock.Read().Elapsed}
		first.ctx, first.end = context.WithCancel(t.Context())
		if !first.Begin() {
			t.Fatal("the term has ended")
		}
		first.lose("")
		again := &Term{Number: "2", clock: clock, renewed: first.renewed}
		again.retake(first)
		want := "2"
		if taken {
			want = "1"
			first.TakeBack()
		}
		if got := again.Follows(); got != want || again.last() != want {
			t.Errorf("taken back: %t: the term follows %s, and the next one %s; want %s", taken, got, again.last(), want)
		}
	}
}

// begin checks the process that begins a term. It can continue from its state of an earlier term only if no other process has run the
// jobs since that term.
func (c *cluster) begin(p *process, t *Term) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := p.begun; before != "" && t.Follows() == before && c.last != p {
		c.stale = fmt.Sprintf("%s continues from %s, but another process has run the jobs since", p.Host, before)
	}
	p.begun, c.last = t.Number, p
}

// now returns the active processes.
func (c *cluster) now() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.active, " ")
}

// until returns how long it takes until a process is active.
func (c *cluster) until(name string, limit time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	for c.now() != name {
		if time.Since(began) > limit {
			c.t.Fatalf("after %s %q is active, want %q\n%s", limit, c.now(), name, c.logged())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

func (c *cluster) logged() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// end checks that no two processes were active at one time.
func (c *cluster) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.twice {
		c.t.Errorf("two processes were active at one time\n%s", c.log.String())
	}
	if c.stale != "" {
		c.t.Errorf("%s\n%s", c.stale, c.log.String())
	}
}

// road is the way of a process to the API server.
type road struct {
	p    *process
	next http.RoundTripper
}

func (r *road) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := r.travel(req.Context()); err != nil {
		return nil, err
	}
	if req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	// A request that has arrived has its effect, even if the process does not wait for the response.
	resp, err := r.next.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(r.p.back.Load()))
	if err := r.travel(req.Context()); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// travel waits for as long as a message takes, or until the sender gives up. A message does not arrive while the process is apart.
func (r *road) travel(ctx context.Context) error {
	if d := r.p.slow.Load(); d > 0 {
		select {
		case <-time.After(time.Duration(rand.Int64N(d))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for r.p.apart.Load() || r.p.c.down.Load() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// TestDeletedWhileHeld checks that a holder whose lease is deleted continues from its earlier term, because no other process has run the
// jobs in the meantime.
func TestDeletedWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		p := c.start("a", 0)
		time.Sleep(20 * time.Second)
		c.api.Delete()
		time.Sleep(20 * time.Second)
		p.stop()
		if len(p.terms) != 2 || p.terms[0][1] != "" || p.terms[1][1] != p.terms[0][0] {
			t.Errorf("terms and those before them: %v", p.terms)
		}
	})
}

// TestRegained checks a process whose job is slow to stop. The process does not end if it has the lease again.
func TestRegained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		p := c.start("a", 0)
		time.Sleep(20 * time.Second)
		p.lag.Store(int64(20 * time.Second))
		p.apart.Store(true)
		time.Sleep(stopAfter + 500*time.Millisecond)
		p.apart.Store(false)
		time.Sleep(time.Minute)
		status := p.Status()
		p.stop()
		if p.aborted.Load() || len(p.terms) != 2 || !status.Active {
			t.Errorf("aborted: %t, %d terms, %+v\n%s", p.aborted.Load(), len(p.terms), status, c.logged())
		}
	})
}

// TestHandOver checks how long a hand-over takes, for each way in which the holder can go away. It also checks that the previous holder
// has stopped before the next one begins. The clocks of the processes differ by hours.
func TestHandOver(t *testing.T) {
	for name, c := range map[string]struct {
		slow     time.Duration
		away     func(c *cluster, a *process)
		from, to time.Duration
	}{
		"stopped":              {0, func(_ *cluster, a *process) { a.stop() }, 0, pauseOK + 100*time.Millisecond},
		"stopped, slow server": {time.Second, func(_ *cluster, a *process) { a.stop() }, 0, pauseOK + 4*time.Second},
		"killed":               {0, func(_ *cluster, a *process) { a.kill() }, Duration - pauseOK, Duration + pauseOK + 100*time.Millisecond},
		"killed, slow server":  {time.Second, func(_ *cluster, a *process) { a.kill() }, Duration - pauseOK - time.Second, 15 * time.Second},
		"partition":            {0, func(_ *cluster, a *process) { a.apart.Store(true) }, Duration - pauseOK, Duration + pauseOK + 100*time.Millisecond},
		"deleted":              {0, func(c *cluster, a *process) { a.apart.Store(true); c.api.Delete() }, Duration, Duration + pauseOK + 100*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t)
				a := cl.start("a", 3*time.Hour)
				cl.until("a", Duration+time.Second) // no process has held the lease, so it waits
				b := cl.start("b", -5*time.Hour)
				for _, p := range []*process{a, b} {
					p.slow.Store(int64(c.slow / 2))
				}
				time.Sleep(time.Minute)
				if cl.now() != "a" || b.Status() != (Status{Name: "cton", Holder: "a"}) || a.Status() != (Status{Name: "cton", Active: true, Holder: "a"}) {
					t.Fatalf("%q is active, a: %+v, b: %+v", cl.now(), a.Status(), b.Status())
				}
				gone := time.Now()
				c.away(cl, a)
				cl.until("b", time.Minute)
				if took := time.Since(gone); took < c.from || took > c.to {
					t.Errorf("the hand-over took %s, want %s to %s", took, c.from, c.to)
				}
				b.kill()
				a.kill()
				cl.end()
			})
		})
	}
}

// TestServerDown checks a time in which no process reaches the API server. The holder stops in time, and no other process begins.
// Afterwards the same process goes on, because its state is still the newest one.
func TestServerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		time.Sleep(time.Minute)

		c.down.Store(true)
		time.Sleep(stopAfter - pauseOK - 100*time.Millisecond)
		if c.now() != "a" {
			t.Errorf("a has stopped early")
		}
		time.Sleep(pauseOK + 200*time.Millisecond)
		if c.now() != "" {
			t.Errorf("%q is active after %s without the API server", c.now(), stopAfter)
		}
		time.Sleep(10 * time.Minute)
		if c.now() != "" || a.Status().Error == "" || b.Status().Error == "" || a.Status().Active {
			t.Errorf("%q is active; %+v, %+v", c.now(), a.Status(), b.Status())
		}
		c.down.Store(false)
		time.Sleep(10 * time.Second)
		if c.now() == "" || a.Status().Error != "" || b.Status().Error != "" {
			t.Errorf("%q is active after the API server is back; %+v, %+v", c.now(), a.Status(), b.Status())
		}
		a.stop()
		b.stop()
		c.end()
		log := c.logged()
		for _, want := range []string{
			`level=ERROR msg="the lease cannot be renewed: if that does not succeed soon, the jobs stop here" lease=cton error="`,
			`level=ERROR msg="the lease is lost: the jobs stop here at once, and run again when this process holds the lease" lease=cton why="it was not renewed for 7s"`,
			`level=ERROR msg="the lease cannot be read or taken, so the jobs do not run here" lease=cton error="GET http://api.test/`,
			`level=INFO msg="the lease can be read and renewed again" lease=cton`,
		} {
			if n := strings.Count(log, want); n < 1 || n > 4 {
				t.Errorf("%d times in the log: %s\n%s", n, want, log)
			}
		}
	})
}

// TestShortOutage checks that an outage of some seconds changes nothing.
func TestShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		for range 20 {
			time.Sleep(5*time.Second + time.Duration(rand.Int64N(int64(20*time.Second))))
			c.down.Store(true)
			time.Sleep(4 * time.Second)
			c.down.Store(false)
			c.api.Annotate()
		}
		time.Sleep(time.Minute)
		if c.now() != "a" || len(a.terms) != 1 || len(b.terms) != 0 {
			t.Errorf("%q is active; %v, %v\n%s", c.now(), a.terms, b.terms, c.logged())
		}
		b.stop()
		a.stop()
		c.end()
	})
}

// TestTerms checks the numbers of terms: each term names the previous one, whichever process had it.
func TestTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		time.Sleep(5 * time.Second)
		a.loses()
		c.until("a", 5*time.Second)
		a.stop()
		c.until("b", 5*time.Second)
		again := c.start("a", 0)
		time.Sleep(5 * time.Second)
		b.kill()
		c.until("a", 15*time.Second)
		again.stop()
		want := "[{uid-1/1 } {uid-1/1 uid-1/1}] [{uid-1/2 uid-1/1}] [{uid-1/3 uid-1/2}]"
		var got []string
		for _, p := range []*process{a, b, again} {
			var all []string
			for _, term := range p.terms {
				all = append(all, fmt.Sprintf("{%s %s}", term[0], term[1]))
			}
			got = append(got, fmt.Sprint(all))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("the terms are %s, want %s", strings.Join(got, " "), want)
		}
		c.end()
	})
}

// TestUnknownOutcome checks a process that has taken the lease but does not get the response. The process must find out that it holds the
// lease. Its term must follow the term of the previous holder.
func TestUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newHolder(t)
		a.stop()
		b := c.start("b", 0)
		b.slow.Store(int64(timeout) - 1)
		c.until("b", 10*time.Minute)
		b.slow.Store(0)
		if got := b.terms[0]; got != [2]string{"uid-1/2", "uid-1/1"} {
			t.Errorf("the term is %s after %s", got[0], got[1])
		}
		b.stop()
		c.end()
	})
}

// TestSlowResponse checks that the holder counts from the moment at which it has sent a renewal, not from the response.
func TestSlowResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newHolder(t)
		a.back.Store(int64(3 * time.Second))
		time.Sleep(time.Minute)
		for before := c.api.Requests()["PATCH"]; c.api.Requests()["PATCH"] == before; {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(3100 * time.Millisecond)
		a.apart.Store(true)
		time.Sleep(stopAfter - 3100*time.Millisecond - 50*time.Millisecond)
		if c.now() != "a" {
			t.Error("a has stopped early")
		}
		time.Sleep(100 * time.Millisecond)
		if c.now() != "" {
			t.Error("a is still active")
		}
		a.kill()
	})
}

// TestStuck checks that a process ends if a job does not stop when the lease is lost.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newHolder(t)
		a.lag.Store(int64(time.Hour))
		b := c.start("b", 0)
		time.Sleep(time.Minute)
		a.apart.Store(true)
		time.Sleep(endAfter - pauseOK - 100*time.Millisecond)
		if c.now() != "a" {
			t.Errorf("%q is active", c.now())
		}
		time.Sleep(pauseOK + 200*time.Millisecond)
		if c.now() != "" {
			t.Errorf("%q is active after %s", c.now(), endAfter)
		}
		c.until("b", 5*time.Second)
		b.stop()
		a.kill()
		c.end()
		if want := `msg="the lease is lost and a job has not stopped in time: the process ends, since another process may run the job now"`; !strings.Contains(c.logged(), want) {
			t.Errorf("not in the log: %s\n%s", want, c.logged())
		}
	})
}

// TestSuspended checks that a machine that was suspended begins no run afterwards, before any timer has fired.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newHolder(t)
		time.Sleep(time.Minute)
		term := a.term
		a.apart.Store(true)
		if !term.Valid() {
			t.Error("the term has ended")
		}
		a.clock.Suspend(time.Minute)
		if term.Valid() {
			t.Error("a run may begin after the machine was suspended")
		}
		time.Sleep(5 * time.Second)
		if c.now() != "" {
			t.Errorf("%q is active", c.now())
		}
		a.apart.Store(false)
		c.until("a", 5*time.Second)
		a.stop()
	})
}

// TestNeverTwo checks over random histories that no two processes are active at one time, and that one process is active when everything
// works again.
func TestNeverTwo(t *testing.T) {
	for i := range 60 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { history(t, seed) })
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}

// history lets random things happen to three processes.
func history(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	c := newCluster(t)
	all := make([]*process, 3)
	start := func(i int) {
		all[i] = c.start(string(rune('a'+i)), time.Duration(random.Int64N(int64(48*time.Hour)))-24*time.Hour)
	}
	for i := range all {
		start(i)
	}
	for range 40 {
		time.Sleep(time.Duration(random.Int64N(int64(15 * time.Second))))
		i := random.IntN(len(all))
		switch p := all[i]; random.IntN(13) {
		case 0:
			p.kill()
			start(i)
		case 1:
			p.stop()
			start(i)
		case 2, 3:
			p.apart.Store(!p.apart.Load())
		case 4:
			c.down.Store(!c.down.Load())
		case 5, 6:
			p.slow.Store(random.Int64N(int64(4 * time.Second)))
		case 7:
			p.lag.Store(random.Int64N(int64(6 * time.Second)))
		case 8:
			p.clock.Set(time.Duration(random.Int64N(int64(2*time.Hour))) - time.Hour)
		case 9:
			c.api.Annotate()
		case 10, 11:
			p.blind.Store(!p.blind.Load())
			p.Resume()
		case 12:
			if random.IntN(4) == 0 {
				c.api.Delete()
			}
		}
	}
	c.down.Store(false)
	for i, p := range all {
		p.apart.Store(false)
		p.slow.Store(0)
		p.blind.Store(false)
		p.Resume()
		if p.aborted.Load() {
			p.stop()
			start(i)
		}
	}
	time.Sleep(30 * time.Second)
	if now := c.now(); len(now) != 1 {
		t.Errorf("%q is active in the end\n%s", now, c.logged())
	}
	for _, p := range all {
		p.stop()
	}
	c.end()
}

// TestGivenBack checks that a process which cannot run the jobs gives the lease back. The process that takes it follows the previous
// term, because no job has run in between. The first process competes again when it can run the jobs.
func TestGivenBack(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { givenBack(t, full) })
	}
}

func givenBack(t *testing.T, full bool) {
	c, a, b := newPair(t)
	time.Sleep(5 * time.Second)
	b.full.Store(full)
	b.blind.Store(true)
	a.stop()
	time.Sleep(10 * time.Second)
	if status := b.Status(); !status.Active || status.Away != "" {
		t.Errorf("b: %+v", status)
	}
	a = c.start("a", 0)
	c.until("a", 10*time.Second)
	time.Sleep(pauseOK)
	if want := (Status{Name: "cton", Holder: "a", Away: "it cannot read its state"}); b.Status() != want {
		t.Errorf("b: %+v, want %+v", b.Status(), want)
	}
	a.kill()
	time.Sleep(time.Minute)
	if c.now() != "" || b.Status().Active {
		t.Errorf("%q is active, b: %+v", c.now(), b.Status())
	}
	b.blind.Store(false)
	b.Resume()
	c.until("b", 5*time.Second)
	b.stop()
	c.end()
	if got, want := fmt.Sprint(a.terms, b.terms), "[[uid-1/2 uid-1/1]] [[uid-1/2 uid-1/1] [uid-1/3 uid-1/2]]"; got != want {
		t.Errorf("full: %t: the terms are %s, want %s", full, got, want)
	}
}

// TestGivenBackUsed checks that a term counts if jobs have run in it. This is so even if the process has lost the lease, has it again,
// and then gives it back.
func TestGivenBackUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		time.Sleep(5 * time.Second)
		a.blind.Store(true)
		a.loses()
		c.until("b", 25*time.Second)
		b.stop()
		a.stop()
		if got, want := fmt.Sprint(a.terms, b.terms), "[[uid-1/1 ] [uid-1/1 uid-1/1]] [[uid-1/2 uid-1/1]]"; got != want {
			t.Errorf("the terms are %s, want %s", got, want)
		}
		c.end()
	})
}

// TestNotBegun checks a term which was lost before a job ran. Such a term does not count when the same process has the next term.
func TestNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		time.Sleep(5 * time.Second)
		b.blind.Store(true)
		a.stop()
		time.Sleep(5 * time.Second)
		b.loses()
		b.blind.Store(false)
		c.until("b", 5*time.Second)
		b.stop()
		if got, want := fmt.Sprint(b.terms), "[[uid-1/2 uid-1/1] [uid-1/2 uid-1/1]]"; got != want {
			t.Errorf("the terms are %s, want %s", got, want)
		}
		c.end()
	})
}

// TestReminds checks that an outage of the API server that continues is logged again, but seldom.
func TestReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.start("a", 0)
		c.down.Store(true)
		for after, want := range []int{1, 2, 2, 3} { // at 5, 15, 50 and 70 minutes
			time.Sleep([]time.Duration{5, 10, 35, 20}[after] * time.Minute)
			if n := strings.Count(c.logged(), `msg="the lease cannot be read or taken, so the jobs do not run here"`); n != want {
				t.Errorf("%d times in the log, want %d\n%s", n, want, c.logged())
			}
		}
		if !strings.Contains(c.logged(), " since=") {
			t.Error("a reminder does not say since when")
		}
		c.down.Store(false)
		a.stop()
	})
}

// TestRequests checks the number of requests: one in two seconds for each process, most of which only read.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := newPair(t)
		time.Sleep(time.Second)
		before := c.api.Requests()
		time.Sleep(time.Minute)
		after := c.api.Requests()
		if n := after["PATCH"] - before["PATCH"]; n != 30 {
			t.Errorf("%d renewals in a minute", n)
		}
		if n := after["GET"] - before["GET"]; n != 30 {
			t.Errorf("%d looks of the standby in a minute", n)
		}
		b.stop()
		a.stop()
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"metadata":{"uid":"a","resourceVersion":"1"},"spec":{"holderIdentity":"a_b","leaseDurationSeconds":12,"leaseTransitions":3,"renewTime":"2026-01-02T03:04:05.000000Z"}}`))
	f.Add([]byte(`{"metadata":{"uid":"a","resourceVersion":"1"},"spec":{"leaseDurationSeconds":-1}}`))
	f.Add([]byte(`{"metadata":{"uid":"a","resourceVersion":"1"},"spec":null}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decode(text)
		if err != nil {
			if r != nil {
				t.Error("a lease and an error")
			}
			return
		}
		if r.uid == "" || r.version == "" || r.duration < time.Second || r.duration > maxDuration || r.transitions < 0 || len(r.holder) > maxText || len(r.term()) > 2*maxText {
			t.Errorf("%+v", r)
		}
	})
}
