package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/clock/clocktest"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
)

// steps are jumps of the clock.
func steps() []time.Duration {
	return []time.Duration{-30 * time.Second, -time.Hour, -24 * time.Hour, time.Hour, 49 * time.Hour}
}

// The moments at which the clock jumps.
const (
	between   = "between ticks"
	inTick    = "in a tick"
	suspended = "while suspended"
)

// clocked is an agent whose clock can be set, with one job and one sink.
type clocked struct {
	*clocktest.Fake
	agent  *Agent
	source *scripted
	sink   *punctual
	log    lockedBuffer
	stop   func() error
}

// punctual is a shelf that also records, for each batch, how long after the batch's time it was written.
type punctual struct {
	shelf
	clock *clock.Clock
	late  []time.Duration
}

func (p *punctual) Write(ctx context.Context, b metric.Batch) error {
	if b.Job != Self {
		p.late = append(p.late, p.clock.Now().Sub(b.Time))
	}
	return p.shelf.Write(ctx, b)
}

// newClocked starts the agent half a second after a full minute. A tick takes two seconds.
func newClocked(t *testing.T, spec string, change func(*Job), more ...func(*clocked) []Sink) *clocked {
	time.Sleep(500 * time.Millisecond)
	c := &clocked{Fake: clocktest.New()}
	c.sink = &punctual{clock: c.Clock}
	c.source = newScripted(func(context.Context, int) error { time.Sleep(2 * time.Second); return nil })
	logger := slog.New(slog.NewTextHandler(&c.log, nil))
	c.agent = New(Options{Log: logger, Clock: c.Clock, Self: func(s State) metric.Readings {
		return metric.Readings{{Desc: jumpsDesc(), Rows: []metric.Reading{{Value: float64(s.ClockJumps)}}}}
	}})
	job := planJob(t, "j", spec, c.source)
	job.Log = logger
	if change != nil {
		change(&job)
	}
	plan := Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("page", c.sink)}}
	for _, sinks := range more {
		plan.Sinks = append(plan.Sinks, sinks(c)...)
	}
	c.stop = start(t, c.agent, plan, nil)
	return c
}

func jumpsDesc() *metric.Desc {
	return &metric.Desc{Name: "cton_clock_jumps_total", Type: metric.Counter}
}

// jump makes the clock jump within the next ten seconds, at the given moment.
func (c *clocked) jump(by time.Duration, moment string) {
	switch moment {
	case between:
		time.Sleep(5 * time.Second)
	case inTick:
		for n := c.calls(); c.calls() == n; {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
	case suspended:
		time.Sleep(5 * time.Second)
		c.Suspend(7 * time.Second)
	}
	c.Set(by)
}

func (c *clocked) calls() int {
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	return c.source.ticks
}

// TestClockJumps checks what is delivered when the clock jumps. Ticks go on. Their batches have the new time, and are in order. No total
// starts after its sample. The jump is logged once.
func TestClockJumps(t *testing.T) {
	for _, by := range steps() {
		for _, moment := range []string{between, inTick, suspended} {
			for _, spec := range []string{"@every 10s", "*/10 * * * * *"} {
				t.Run(fmt.Sprintf("%s/%s/%s", by, moment, spec), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { jumpWhileRunning(t, by, moment, spec) })
				})
			}
		}
	}
}

func jumpWhileRunning(t *testing.T, by time.Duration, moment, spec string) {
	c := newClocked(t, spec, nil)
	time.Sleep(time.Minute)
	c.jump(by, moment)
	before := c.calls()
	jumped := c.Clock.Now() // by the new clock
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	after := c.calls()
	if err := c.stop(); err != nil {
		t.Error(err)
	}
	// Around the jump, at most one tick is lost or added.
	if n := after - before; n < 11 || n > 13 {
		t.Errorf("%d ticks in the two minutes after the jump, want 12", n)
	}
	if n := strings.Count(c.log.String(), "the clock has jumped"); n != 1 {
		t.Errorf("the jump was logged %d times:\n%s", n, c.log.String())
	}
	if n := c.agent.State().ClockJumps; n != 1 {
		t.Errorf("%d jumps were counted", n)
	}
	if n := c.agent.State().Jobs[0].Ticks[Skipped]; n > 1 {
		t.Errorf("%d runs count as skipped", n)
	}
	for i, late := range c.sink.late {
		if late < 0 || late > 3*time.Second {
			t.Errorf("batch %d was written %s after its time", i, late)
		}
	}
	last, back := time.Time{}, 0
	for i, b := range c.sink.batches {
		if i > 0 && !b.Time.After(last) {
			back++
		}
		last = b.Time
		if s := b.Families[0].Series[0]; s.Start >= b.Time.UnixMilli() {
			t.Errorf("batch %d of %s starts at %s", i, b.Time, time.UnixMilli(s.Start))
		}
		if s := b.Families[0].Series[0]; s.Value != float64(i+1) {
			t.Errorf("batch %d has the total %v", i, s.Value)
		}
	}
	if want := map[bool]int{true: 1, false: 0}[by < 0]; back != want {
		t.Errorf("the times of the batches went back %d times, want %d", back, want)
	}
	if lag := last.Sub(jumped); lag < 100*time.Second || lag > 2*time.Minute {
		t.Errorf("the last batch is of %s after the jump by the new clock", lag)
	}
}

// TestClockJumpsOverCron checks that a job at a fixed hour runs at that hour of the new clock. If the clock has jumped over the hour, the
// job runs once.
func TestClockJumpsOverCron(t *testing.T) {
	for _, c := range []struct {
		before time.Duration // the time until the job is due, at the moment when the clock jumps
		by     time.Duration
		want   time.Duration // from the jump to the run
	}{
		{2 * time.Hour, -time.Hour, 3 * time.Hour},
		{2 * time.Hour, time.Hour, time.Hour},
		{2 * time.Hour, 3 * time.Hour, 0},
		{2 * time.Hour, 49 * time.Hour, 0},
		{30 * time.Second, 40 * time.Second, 0},
	} {
		t.Run(fmt.Sprintf("%s before by %s", c.before, c.by), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newClocked(t, "0 12 * * *", nil) // 11:00 UTC
				time.Sleep(time.Until(time.Date(2000, 1, 1, 11, 0, 0, 0, time.UTC)) - c.before)
				k.Set(c.by)
				jumped := time.Now()
				for k.calls() == 0 && time.Since(jumped) < 100*time.Hour {
					time.Sleep(time.Second)
				}
				if got := time.Since(jumped); got < c.want || got > c.want+20*time.Second {
					t.Errorf("it ran after %s, want %s", got, c.want)
				}
				time.Sleep(30 * time.Minute)
				if n := k.calls(); n != 1 {
					t.Errorf("it ran %d times", n)
				}
				if err := k.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestValidForIsElapsed checks that the values of a failing job end after valid_for, whatever the clock is set to.
func TestValidForIsElapsed(t *testing.T) {
	for _, by := range steps() {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClocked(t, "@every 10s", func(j *Job) { j.ValidFor = setting.Duration(35 * time.Second) })
				c.source.then(func(_ context.Context, n int) error {
					if n >= 3 {
						return errors.New("503")
					}
					return nil
				})
				time.Sleep(22 * time.Second) // the last success was at 20 s
				c.Set(by)
				time.Sleep(29 * time.Second) // the last failure was at 50 s
				c.Set(by)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := c.sink.shows()["j"]; got != 3 {
					t.Errorf("after 54 s it shows %v", got)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := c.sink.shows(); len(got) != 0 {
					t.Errorf("after 56 s it shows %v", got)
				}
				if err := c.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestStateIsElapsed checks two rules that hold whatever the clock is set to. An event is counted once as long as the API shows it. The
// values of a metric that cannot be measured end after valid_for.
func TestStateIsElapsed(t *testing.T) {
	seen := &metric.Desc{Name: "seen_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Minute, MaxEvents: 10}
	lost := &metric.Desc{Name: "lost", Type: metric.Gauge}
	for _, by := range steps() {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				var source collectFunc = func() metric.Readings {
					n++
					gauge := metric.Measured{Desc: lost, Rows: []metric.Reading{{Value: 1}}}
					if n > 3 {
						gauge = metric.Measured{Desc: lost, Err: errors.New("no number")}
					}
					return metric.Readings{{Desc: seen, Rows: []metric.Reading{{Value: 1, Event: "a"}}}, gauge}
				}
				c := newClocked(t, "@every 10s", func(j *Job) { j.Source, j.ValidFor = source, setting.Duration(35*time.Second) })
				time.Sleep(32 * time.Second)
				c.Set(by)
				time.Sleep(40 * time.Second)
				if err := c.stop(); err != nil {
					t.Error(err)
				}
				for i, b := range c.sink.batches {
					if got := b.Families[0].Series[0].Value; got != 1 {
						t.Errorf("run %d: the event was counted %v times", i, got)
					}
					if shown := len(b.Families) == 2; shown != (i < 6) { // at 50 s, and not at 60 s
						t.Errorf("run %d: the metric that is not measured is shown: %t", i, shown)
					}
				}
			})
		})
	}
}

// TestWindowsWhenTheClockJumps checks that each window is read once, and that a cursor ahead of the clock is logged.
func TestWindowsWhenTheClockJumps(t *testing.T) {
	for _, by := range steps() {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newReader()
				c := newClocked(t, "@every 1m", func(j *Job) {
					windows := windowed(t, "@every 1m", source, 5*time.Minute, 0)
					j.Source, j.Windows = source, windows.Windows
				})
				time.Sleep(32 * time.Minute)
				c.Set(by)
				time.Sleep(12 * time.Minute)
				synctest.Wait()
				status := c.agent.State().Jobs[0]
				logged := strings.Count(c.log.String(), "no window can be read")
				if ahead := by <= -time.Hour; ahead != (logged == 2) || ahead == status.Up || ahead != strings.Contains(status.Error, "which is in the future: the clock was or is wrong") {
					t.Errorf("logged %d times, up %t, error %q", logged, status.Up, status.Error)
				}
				time.Sleep(max(0, -by))
				synctest.Wait()
				if err := c.stop(); err != nil {
					t.Error(err)
				}
				if !c.agent.State().Jobs[0].Up {
					t.Errorf("it is down when the clock has caught up: %s", c.agent.State().Jobs[0].Error)
				}
				var ends []time.Time
				for _, tick := range source.read {
					if len(ends) > 0 && !tick.Start.Equal(ends[len(ends)-1]) {
						t.Errorf("a window from %s follows one that ends at %s", tick.Start, ends[len(ends)-1])
					}
					ends = append(ends, tick.End)
				}
				if sorted := slices.SortedFunc(slices.Values(ends), time.Time.Compare); !slices.Equal(sorted, ends) || len(ends) < 8 {
					t.Errorf("windows end at %v", ends)
				}
			})
		})
	}
}

// TestOwnMetricsGoOn checks that the agent's own metrics are delivered with the new time too, and count the jump.
func TestOwnMetricsGoOn(t *testing.T) {
	for _, by := range steps() {
		synctest.Test(t, func(t *testing.T) {
			c := newClocked(t, "@every 10s", nil)
			time.Sleep(time.Minute)
			c.Set(by)
			time.Sleep(time.Minute)
			synctest.Wait()
			c.agent.mu.Lock()
			own := c.agent.latest[Self]
			c.agent.mu.Unlock()
			if late := c.Clock.Now().Sub(own.Time); late < 0 || late > ownInterval+time.Second {
				t.Errorf("%s: their time is %s ago", by, late)
			}
			if s := own.Families[0].Series[0]; s.Value != 1 || s.Start >= own.Time.UnixMilli() {
				t.Errorf("%s: %v jumps counted since %s", by, s.Value, time.UnixMilli(s.Start))
			}
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRestoredCursorAhead checks a cursor of an earlier process that lies ahead of the clock. This is logged once. If the cursor lies
// further ahead than max_catch_up, the newest closed window is read.
func TestRestoredCursorAhead(t *testing.T) {
	for _, c := range []struct {
		ahead time.Duration
		reads int
		want  string
	}{
		{0, 0, ""}, // all closed windows are read
		{time.Hour, 0, "no window can be read"},
		{3 * time.Hour, 1, "the last closed window is read again"},
	} {
		t.Run(c.ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newReader()
				plan := windowed(t, "@every 1m", source, 5*time.Minute, 0)
				plan.Windows.MaxCatchUp = 2 * time.Hour
				var log bytes.Buffer
				plan.Log = slog.New(slog.NewTextHandler(&log, nil))
				j := newAgent().newJob(plan)
				j.life, j.release = t.Context(), func() {}
				j.Cursor = time.Now().Round(0).Add(c.ahead)
				for range 2 {
					j.tick(t.Context())
				}
				if len(source.read) != c.reads {
					t.Errorf("%d windows were read, want %d", len(source.read), c.reads)
				}
				if up := c.want != "no window can be read"; j.status.get().Up != up {
					t.Errorf("the job is up: %t, its error is %q", !up, j.status.get().Error)
				}
				if n := strings.Count(log.String(), c.want); c.want == "" && log.Len() > 0 || c.want != "" && n != 1 {
					t.Errorf("it logged\n%s\nwant %q once", log.String(), c.want)
				}
			})
		})
	}
}
