// Package lease lets only one of several processes run jobs. It uses a Lease of Kubernetes (coordination.k8s.io/v1).
//
// The process that has the lease, the holder, renews it. The others read it every two seconds. If the lease has not changed for Duration,
// these other processes try to take it. The API server compares the resource version at each write, so only one of them gets it.
//
// No process compares its clock with the clock of another process. The holder counts from the moment at which it has sent the last
// renewal that succeeded. The others count from the moment at which they have first received this renewal, which is later. So the jobs of
// the holder have stopped before another process can take the lease, even if all clocks are wrong:
//
//	0 s            7 s                 9.5 s                11 s
//	renewed ─────▶ lost: jobs stop ──▶ the process ends, ──▶ another process
//	                                   if a job still works  can take the lease
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/httpclient"
)

// Duration is how long a lease must have stayed unchanged before another process takes it.
const Duration = 11 * time.Second

// Both times count from the last renewal. After stopAfter without a renewal, the holder stops its jobs. If a job still works after
// endAfter, the process ends.
const (
	stopAfter = 7 * time.Second
	endAfter  = 9500 * time.Millisecond

	stopAtLeast = time.Second // the least time that jobs get to stop, even after a suspension
)

// Times of requests to the API server.
const (
	pauseOK     = 2 * time.Second         // between two renewals, and between two looks at the lease of another process
	pauseFailed = 500 * time.Millisecond  // after a renewal that has failed
	timeout     = 3500 * time.Millisecond // limit for one request
)

// Options are what a lease needs.
type Options struct {
	Server *Server
	Host   string // name of this host, which other processes show
	Log    *slog.Logger
	Clock  *clock.Clock

	// Working is called when the lease is lost. It returns a function. That function reports whether some job was running at the moment of
	// the loss and is still at work.
	Working func() (still func() bool)
	// Abort ends the process at once. It is called if a job is still at work shortly before another process can take the lease.
	Abort func()
}

// Lease is a lease that this process wants to hold.
type Lease struct {
	Options
	identity string     // identifies this process; no other process ever has the same identity
	terms    chan *Term // has the latest term until it is received

	mu     sync.Mutex
	status Status
	active *Term // the term that has not been lost; nil = none

	// Only the goroutine of Run uses the following.
	term     *Term            // the latest term; nil = none yet
	follows  string           // the previous term when this process last tried to take the lease; "" = there was none
	vacant   vacancy          // the last deletion of the lease
	seen     *record          // the lease as last received; nil = it must be read before it is written
	last     record           // the lease as last received, without its version
	changed  time.Duration    // when the value in the field "last" was received for the first time, as elapsed time
	failure  clock.Continuing // the error of the last request
	standing string           // the holder that was logged; "" = none
}

// Status is what this process knows of the lease.
type Status struct {
	Name   string
	Active bool   // this process holds the lease
	Holder string // host of the process that holds the lease; "" = not known
	Error  string // why the last request has failed; "" = it has succeeded
	Away   string // why this process has given the lease back and does not compete for it; "" = it competes
}

// New returns a lease.
func New(o Options) *Lease {
	return &Lease{
		Options: o, identity: o.Host + "_" + rand.Text()[:8], terms: make(chan *Term, 1), status: Status{Name: o.Server.Name},
	}
}

// Status returns the current status.
func (l *Lease) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *Lease) setStatus(change func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.status)
}

// setActive sets the term in which the jobs run.
func (l *Lease) setActive(t *Term) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active, l.status.Active = t, true
}

// setLost notes that a term was lost, unless a later term has begun.
func (l *Lease) setLost(t *Term) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active == t {
		l.active, l.status.Active, l.status.Holder = nil, false, ""
	}
}

// regained reports whether this process has the lease again, and no other process had it since the term t.
func (l *Lease) regained(t *Term) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active != nil && l.active != t && l.active.Follows() == t.last()
}

// GiveBack ends a term because its jobs cannot run in this process, so that another process can take the lease soon. This process does not
// compete for the lease until Resume is called.
func (l *Lease) GiveBack(t *Term, why string) {
	l.setStatus(func(s *Status) { s.Away = why })
	t.lose(why)
}

// Resume lets this process compete for the lease again.
func (l *Lease) Resume() { l.setStatus(func(s *Status) { s.Away = "" }) }

// isAway reports whether this process does not compete for the lease.
func (l *Lease) isAway() bool { return l.Status().Away != "" }

// Terms returns a channel with each term of this process. A term begins only after the previous one has ended.
func (l *Lease) Terms() <-chan *Term { return l.terms }

// Term is a time in which this process holds the lease.
type Term struct {
	// Number identifies the term among the terms of all processes. If this process loses the lease and takes it again before any other
	// process does, its new term has the same Number.
	Number string

	follows string // what Follows returns if there is no earlier term
	earlier *Term  // the term with the same Number that this process had lost, if jobs have perhaps begun to run in that term; nil = none

	clock *clock.Clock
	ctx   context.Context
	end   context.CancelFunc

	mu      sync.Mutex
	renewed time.Duration // when the last renewal that succeeded was sent, as elapsed time
	lost    string        // why the term has ended; "" = it was not renewed in time
	begun   int           // how many times jobs have perhaps begun to run in this term, see Begin
}

// Context returns a context that ends when the jobs must stop at once.
func (t *Term) Context() context.Context { return t.ctx }

// Valid reports whether a run may begin. It reads the clock, because the process or the machine may have been suspended: then perhaps the
// timer that ends Context has not fired yet. After it has returned false, it never returns true again.
func (t *Term) Valid() bool {
	if t.ctx.Err() == nil && t.left(stopAfter) <= 0 {
		t.end()
	}
	return t.ctx.Err() == nil
}

// Begin notes that jobs run in this term from now on, so that the next term follows this one. It returns false if the term has ended. A
// term without a call of Begin does not count if this process also has the next term, or if this process has given the lease back. In
// both cases, the next term follows the term before the one that does not count.
func (t *Term) Begin() bool {
	if !t.Valid() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost != "" {
		return false
	}
	t.begun++
	return true
}

// TakeBack takes back one call of Begin that has returned true. It is for a term in which nothing has happened that another process could
// find.
func (t *Term) TakeBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun--
}

// Follows returns the Number of the previous term, or "" if there is none. Begin says which terms do not count. If this process has lost a term
// with the same Number, and jobs have run in that term, Follows returns this Number. The result can change while a write of the lost term has
// not ended, because it can then still be taken back (see TakeBack).
func (t *Term) Follows() string {
	if t.earlier != nil {
		return t.earlier.last()
	}
	return t.follows
}

// retake is called for a new term, before other goroutines know it, with the lost term of the same Number.
func (t *Term) retake(lost *Term) {
	if t.follows = lost.last(); t.follows == t.Number {
		t.earlier = lost
	}
}

// last returns the number of the newest term in which jobs have run, as far as this term knows.
func (t *Term) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun > 0 {
		return t.Number
	}
	return t.Follows()
}

// left returns how much time is left until the time "age" has passed since the last renewal.
func (t *Term) left(age time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.renewed + age - t.clock.Read().Elapsed
}

func (t *Term) renew(sent time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewed = sent
}

// lose ends the term.
func (t *Term) lose(why string) {
	t.mu.Lock()
	t.lost = why
	t.mu.Unlock()
	t.end()
}

// why returns why the term has ended.
func (t *Term) why() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == "" {
		return "it was not renewed for " + stopAfter.String()
	}
	return t.lost
}

// sleep waits until the time "age" has passed since the last renewal, or until the channel "done" is closed.
func (t *Term) sleep(done <-chan struct{}, age time.Duration) {
	for left := t.left(age); left > 0; left = t.left(age) {
		select {
		case <-done:
			return
		case <-time.After(left):
		}
	}
}

// Run tries to hold the lease until ctx ends. Then it releases the lease, so that another process can take it at once. All jobs must have
// stopped when ctx ends.
func (l *Lease) Run(ctx context.Context) {
	var guards sync.WaitGroup
	defer guards.Wait()
	for {
		before := l.term
		pause := l.step(ctx)
		if t := l.term; t != before {
			guards.Go(func() { l.guard(ctx, t) })
			select {
			case <-l.terms: // a term that was not received yet, and has ended in the meantime
			default:
			}
			l.terms <- t
		}
		select {
		case <-ctx.Done():
			l.release()
			return
		case <-time.After(pause):
		}
	}
}

// holds reports whether this process holds the lease.
func (l *Lease) holds() bool {
	if l.term != nil && !l.term.Valid() {
		l.term.end()
	}
	return l.term != nil && l.term.ctx.Err() == nil
}

// step reads the lease if necessary, and writes it if this process holds it or can take it. It returns the pause until the next step.
func (l *Lease) step(ctx context.Context) (pause time.Duration) {
	if l.isAway() {
		return l.stayAway(ctx)
	}
	var err error
	if l.seen == nil || !l.holds() && l.untilFree() > 0 {
		err = l.within(ctx, l.read)
	}
	wait := time.Duration(0)
	if err == nil {
		if wait = l.untilFree(); wait == 0 {
			err = l.within(ctx, l.take)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return 0
	case err != nil:
		return l.failed(err)
	case wait > 0:
		l.stand()
	}
	l.recovered()
	if wait == 0 {
		return pauseOK
	}
	return min(wait, pauseOK)
}

// stayAway gives the lease back if this process holds it. Otherwise it reads the lease. It returns the pause until the next step. If a
// source that was abandoned is still at work, the lease is not given back. Then another process takes the lease only after it has
// expired.
func (l *Lease) stayAway(ctx context.Context) (pause time.Duration) {
	l.lose("its jobs cannot run in this process")
	err := l.within(ctx, l.read)
	if err == nil && l.seen.holder == l.identity && !l.Working()() {
		err = l.within(ctx, l.vacate)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return 0
	case err != nil:
		return l.failed(err)
	case l.seen.holder != l.identity:
		l.stand()
	}
	l.recovered()
	return pauseOK
}

var errSlow = errors.New("the API server has not answered in time")

// within calls the function "send" with a context. The context ends at the time after which a response would be too late.
func (l *Lease) within(ctx context.Context, send func(context.Context) error) error {
	limit := timeout
	if l.holds() {
		limit = min(limit, l.term.left(stopAfter))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSlow)
	defer cancel()
	return send(ctx)
}

// read reads the lease. It creates the lease if there is none.
func (l *Lease) read(ctx context.Context) error {
	r, err := l.Server.get(ctx)
	if errors.Is(err, errMissing) {
		l.vacant = vacancy{}
		if l.holds() {
			l.vacant.term = l.term.last()
		}
		l.lose("it was deleted")
		if r, err = l.Server.create(ctx); err == nil {
			l.Log.Info("the lease did not exist and was created: it can be taken when it has not changed for "+Duration.String(), "lease", l.Server.Name)
		}
	}
	if err != nil {
		return err
	}
	l.received(r)
	if l.holds() && r.holder != l.identity {
		l.lose("another process has taken it")
	}
	return nil
}

// received stores a lease that was received.
func (l *Lease) received(r *record) {
	now := *r
	now.version = ""
	if l.last != now {
		l.last, l.changed = now, l.Clock.Read().Elapsed
	}
	l.seen = r
	if l.vacant.uid == "" {
		l.vacant.uid = r.uid
	}
	l.setStatus(func(s *Status) { s.Holder = r.host() })
}

// vacancy is what is known of a lease that was deleted.
type vacancy struct {
	term string // the term in which this process held the lease until it was deleted; "" = perhaps another process held it
	uid  string // the lease that was created in its place
}

// untilFree returns how long this process must wait before it can take the lease. 0 means that it can take the lease now, or that it
// holds the lease. The process must also wait if no process has held this lease yet: perhaps the lease replaces a deleted one, whose
// holder does not know of the deletion yet.
func (l *Lease) untilFree() time.Duration {
	r := l.seen
	if r.holder == l.identity || r.holder == "" && r.transitions > 0 {
		return 0
	}
	return max(0, l.changed+max(r.duration, Duration)-l.Clock.Read().Elapsed) // even if the lease has a shorter duration
}

// take writes the lease. It either renews the lease, or takes the lease and begins a term.
func (l *Lease) take(ctx context.Context) error {
	before, now := *l.seen, l.Clock.Read()
	next := spec{holder: l.identity, transitions: before.transitions, renewed: now.Wall}
	if before.holder != l.identity {
		next.transitions++
		next.acquired = now.Wall
		switch {
		case before.transitions > 0:
			l.follows = before.term()
		case before.uid == l.vacant.uid:
			l.follows = l.vacant.term
		default:
			l.follows = ""
		}
	}
	l.seen = nil // the lease is unknown until the response comes
	r, err := l.Server.write(ctx, before.version, next)
	if err != nil {
		return err
	}
	l.received(r)
	if l.holds() {
		l.term.renew(now.Elapsed)
		return nil
	}
	if l.isAway() {
		return nil
	}
	t := &Term{Number: r.term(), follows: l.follows, clock: l.Clock, renewed: now.Elapsed}
	if l.term != nil && l.term.Number == t.Number { // this process had lost the lease, but no other process has run the jobs
		t.retake(l.term)
	}
	t.ctx, t.end = context.WithCancel(context.Background())
	l.term, l.standing = t, ""
	l.setActive(t)
	l.Log.Info("this process holds the lease: the jobs run here", "lease", l.Server.Name)
	return nil
}

// lose ends the current term, if there is one, because of what the API server says.
func (l *Lease) lose(why string) {
	if l.holds() {
		l.term.lose(why)
	}
}

// guard ends a term when it was not renewed in time. If a job then still works for too long, guard ends the process.
func (l *Lease) guard(ctx context.Context, t *Term) {
	t.sleep(t.ctx.Done(), stopAfter)
	t.end()
	if ctx.Err() != nil {
		return // the jobs have stopped, and Run releases the lease
	}
	still := l.Working()
	l.setLost(t)
	if !l.isAway() {
		l.Log.Error("the lease is lost: the jobs stop here at once, and run again when this process holds the lease", "lease", l.Server.Name, "why", t.why())
	}
	time.Sleep(stopAtLeast) // after a suspension, the time endAfter can be over already
	t.sleep(nil, endAfter)
	if still() && !l.regained(t) {
		l.Log.Error("the lease is lost and a job has not stopped in time: the process ends, since another process may run the job now", "lease", l.Server.Name)
		l.Abort()
	}
}

// stand logs that another process holds the lease.
func (l *Lease) stand() {
	host := l.seen.host()
	if host == l.standing || host == "" {
		return
	}
	l.standing = host
	l.Log.Info("standby: another process holds the lease and runs the jobs", "lease", l.Server.Name, "holder", host)
}

// failed makes a note of a request that has failed. It logs the error, unless the last request has failed with the same error. It returns
// the pause until the next request.
func (l *Lease) failed(err error) (pause time.Duration) {
	held := l.holds()
	if pause = pauseOK; held {
		pause = pauseFailed
	}
	if errors.Is(err, errConflict) {
		return pause // another process has written the lease
	}
	text, why := err.Error(), err
	if e, ok := errors.AsType[*httpclient.Error](err); ok {
		why = e.Err // without method and URL, so that an error that both reads and writes have is logged once
	}
	since, now := l.failure.Failed(fmt.Sprint(held, why))
	about := append([]any{"lease", l.Server.Name, "error", text}, since...)
	switch {
	case now && held:
		l.Log.Error("the lease cannot be renewed: if that does not succeed soon, the jobs stop here", about...)
	case now:
		l.Log.Error("the lease cannot be read or taken, so the jobs do not run here", about...)
	}
	l.setStatus(func(s *Status) { s.Error = text })
	return pause
}

func (l *Lease) recovered() {
	if l.failure.Ended() {
		l.Log.Info("the lease can be read and renewed again", "lease", l.Server.Name)
		l.setStatus(func(s *Status) { s.Error = "" })
	}
}

// release gives the lease up, if this process holds it.
func (l *Lease) release() {
	switch {
	case l.holds():
		l.term.end()
		l.setLost(l.term)
	case !l.isAway():
		return
	}
	var err error
	if l.seen == nil {
		err = l.within(context.Background(), l.read)
	}
	if err == nil && l.seen.holder == l.identity {
		err = l.within(context.Background(), l.vacate)
	}
	if err != nil {
		l.Log.Warn("the lease could not be released: another process can take it when it has expired", "lease", l.Server.Name, "error", err)
	}
}

// vacate writes that no process holds the lease. If no jobs have run in the current term, this term does not count: the process that
// takes the lease next continues from the previous term.
func (l *Lease) vacate(ctx context.Context) error {
	before := *l.seen
	next := spec{transitions: before.transitions, renewed: l.Clock.Now()}
	if l.term != nil && l.term.Number == before.term() && l.term.last() != l.term.Number {
		next.transitions--
	}
	l.seen = nil // until the response says what the lease is now
	r, err := l.Server.write(ctx, before.version, next)
	if err == nil {
		l.received(r)
	}
	return err
}
