package run

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// beginShared is like the function "begin", but the agent shares its state file with other agents.
func beginShared(t *testing.T, path, spec string, r *registry, s *last) *life {
	t.Helper()
	l := &life{}
	log := slog.New(slog.NewTextHandler(&l.log, nil))
	file, problems, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: log, Shared: true})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	l.file = file
	l.agent = New(Options{Log: log, Self: func(State) metric.Readings { return nil }, State: file})
	job := planJob(t, "job", spec, r.source())
	job.Log = log
	l.stop = start(t, l.agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("last", s)}}, nil)
	return l
}

// TestHandedOver checks that an agent takes over a job which another agent still runs, again and again, as in a rollout. The new agent
// waits and logs this. When the old one has stopped, the new one continues from the state of the old one: no total decreases, and all
// totals are equal to what has happened.
func TestHandedOver(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
			pass := func() {
				for range dice.IntN(8) {
					time.Sleep(time.Duration(1 + dice.IntN(20_000_000_000)))
					r.happen()
				}
			}
			l := beginShared(t, path, "@every 7s", r, s)
			for range 10 {
				pass()
				next := beginShared(t, path, "@every 7s", r, s)
				pass()
				time.Sleep(time.Second)
				synctest.Wait()
				if j := next.agent.State().Jobs[0]; j.Up || !strings.Contains(j.Error, "in use by process") || j.Ticks[Succeeded] > 0 {
					t.Fatalf("two agents run the job: %+v", j)
				}
				l.end(t)
				pass()
				time.Sleep(9 * time.Second)
				synctest.Wait()
				if j := next.agent.State().Jobs[0]; !j.Up || !strings.Contains(next.log.String(), "recovered") {
					t.Fatalf("the job does not run: %+v\n%s", j, &next.log)
				}
				l = next
			}
			time.Sleep(8 * time.Second)
			synctest.Wait()
			want := r.count()
			if events, increments := s.get("events_total"), s.get("increments_total"); events != want || increments != want || int(s.sum) != want {
				t.Errorf("seed %d: %d events, %d increments and changes of %v are counted, %d have happened\n%s", seed, events, increments, s.sum, want, &l.log)
			}
			if back := s.stepsBack(); len(back) > 0 {
				t.Errorf("seed %d: %q", seed, back)
			}
			l.end(t)
		})
	}
}

// TestReloadHandsOver checks that a reload unlocks the jobs it removes, and locks the jobs it adds or changes.
func TestReloadHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		open := func() *state.File {
			file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler), Shared: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(file.Close)
			return file
		}
		file, other := open(), open()
		free := func(job string) bool {
			unlock, err := other.LockJob(expired(t), job)
			if err != nil {
				return false
			}
			unlock()
			return true
		}
		agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
		a, b := planJob(t, "a", "@every 1m", newScripted(nil)), planJob(t, "b", "@every 1m", newScripted(nil))
		changed := planJob(t, "b", "@every 1m", newScripted(nil))
		changed.Key = "changed"
		sink := planSink("out", &shelf{})
		plans := make(chan Plan)
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{a, b}, Sinks: []Sink{sink}}, plans)
		synctest.Wait()
		for _, step := range []struct {
			jobs  []Job
			freeA bool
			freeB bool
		}{{[]Job{a, b}, false, false}, {[]Job{changed}, true, false}, {[]Job{a, changed}, false, false}} {
			plans <- Plan{Concurrency: 1, Jobs: step.jobs, Sinks: []Sink{sink}}
			time.Sleep(time.Second)
			synctest.Wait()
			if free("a") != step.freeA || free("b") != step.freeB {
				t.Errorf("with %d jobs: a is free: %v, b: %v", len(step.jobs), free("a"), free("b"))
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !free("a") || !free("b") {
			t.Error("the jobs are locked after the end")
		}
	})
}

// faultyDir is a directory in which an error can be set. As long as it is set, opening a file fails with this error.
type faultyDir struct {
	durable.FS
	fault atomic.Pointer[error]
}

func (d *faultyDir) set(err error) { d.fault.Store(&err) }

func (d *faultyDir) err() error {
	if err := d.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *faultyDir) Create(name string) (durable.File, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.FS.Create(name)
}

func (d *faultyDir) Append(name string) (durable.File, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.FS.Append(name)
}

func (d *faultyDir) ReadFile(name string, limit int64) ([]byte, error) {
	if err := d.err(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	return d.FS.ReadFile(name, limit)
}

// openFaulty opens a state that processes share. The directory of the state can be made to fail.
func openFaulty(t *testing.T, path string, log *slog.Logger) (*state.File, *faultyDir) {
	t.Helper()
	disk := &faultyDir{FS: durable.NewDir(filepath.Dir(path))}
	file, problems, err := state.OpenOn(t.Context(), path, disk, state.Options{Fold: FoldSaved, Log: log, Shared: true})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	return file, disk
}

// isFree reports whether a process could run a job now.
func isFree(t *testing.T, file *state.File, job string) bool {
	t.Helper()
	unlock, err := file.LockJob(expired(t), job)
	if err != nil {
		return false
	}
	unlock()
	return true
}

// TestGivenUpWhenWritten checks a job which a reload removes while the last record of the job cannot be written. The job stays locked,
// and this is logged once. When the record is on disk, the job is unlocked. A process that then locks the job sees the record.
func TestGivenUpWhenWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, log := filepath.Join(t.TempDir(), "state"), &lockedBuffer{}
		logger := slog.New(slog.NewTextHandler(log, nil))
		file, disk := openFaulty(t, path, logger)
		other, _ := openFaulty(t, path, logger)
		defer other.Close()
		agent := New(Options{Log: logger, Self: func(State) metric.Readings { return nil }, State: file})
		job, sink, plans := planJob(t, "a", "@every 10s", newScripted(nil)), planSink("out", &shelf{}), make(chan Plan)
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{sink}}, plans)
		time.Sleep(15 * time.Second)
		disk.set(syscall.ENOSPC)
		time.Sleep(15 * time.Second) // a run is held back
		plans <- Plan{Concurrency: 1, Sinks: []Sink{sink}}
		for range 10 {
			time.Sleep(7 * time.Second)
			if isFree(t, other, "a") {
				t.Fatal("the job is free, though its last record is not on disk")
			}
		}
		disk.set(nil)
		time.Sleep(11 * time.Second)
		if !isFree(t, other, "a") {
			t.Error("the job is not free, though the disk works again")
		}
		if err := other.Reread(); err != nil {
			t.Error(err)
		}
		if records, err := other.Records("a"); len(records) != 3 || err != nil {
			t.Errorf("%d records, %v", len(records), err)
		}
		for line, times := range map[string]int{`level=ERROR msg="jobs stay locked until`: 1, `level=INFO msg="jobs unlocked`: 1, "no space left on device": 1} {
			if got := strings.Count(log.String(), line); got != times {
				t.Errorf("%d times %q:\n%s", got, line, log)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		file.Close()
	})
}

// TestGivenUpAtTheEnd checks jobs whose last records cannot be written at the end of the process. They are unlocked when the state file
// is closed, because nothing is written after that.
func TestGivenUpAtTheEnd(t *testing.T) {
	for _, single := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			file, disk := openFaulty(t, path, slog.New(slog.DiscardHandler))
			other, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
			defer other.Close()
			agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
			plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@every 10s", newScripted(nil))}, Sinks: []Sink{planSink("out", &shelf{})}}
			disk.set(syscall.ENOSPC)
			if single {
				ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
				defer end()
				if _, err := agent.Once(ctx, plan, Drain); err != nil {
					t.Error(err)
				}
			} else {
				stop := start(t, agent, plan, nil)
				time.Sleep(15 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
			if isFree(t, other, "a") {
				t.Error("the job is free, though its last record may still be written")
			}
			file.Close()
			if !isFree(t, other, "a") {
				t.Error("the job is not free after the end")
			}
		})
	}
}

// TestGivenUpWhenDelivered checks that a job which a reload removes stays locked while a sink has a batch of this job in memory, but not
// longer than Drain. Otherwise another process would deliver newer samples first, and the receiver would refuse the older ones.
func TestGivenUpWhenDelivered(t *testing.T) {
	for down, want := range map[time.Duration]time.Duration{5 * time.Second: 5 * time.Second, time.Hour: Drain} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			file, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
			other, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
			defer other.Close()
			agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
			var until atomic.Int64 // Unix nanoseconds
			out := &shelf{judge: func(b metric.Batch) error {
				if b.Job == "a" && time.Now().UnixNano() < until.Load() {
					return errors.New("connection refused")
				}
				return nil
			}}
			sink, plans := planSink("out", out), make(chan Plan)
			stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@every 10s", newScripted(nil))}, Sinks: []Sink{sink}}, plans)
			time.Sleep(15 * time.Second)
			until.Store(time.Now().Add(down).UnixNano())
			began := time.Now()
			plans <- Plan{Concurrency: 1, Sinks: []Sink{sink}}
			for !isFree(t, other, "a") {
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(began); took < want || took > Drain+time.Second {
				t.Errorf("down for %s: free after %s", down, took)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			file.Close()
		})
	}
}

// TestWaitsForUnreadableState checks a job which a reload adds while the state file cannot be read. The job does not start from zero: it
// waits, says so once, and goes on from its state when the file can be read again.
func TestWaitsForUnreadableState(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path, log := filepath.Join(t.TempDir(), "state"), &lockedBuffer{}
			disk := &faultyDir{FS: durable.NewDir(filepath.Dir(path))}
			logger := slog.New(slog.NewTextHandler(log, nil))
			file, problems, err := state.OpenOn(t.Context(), path, disk, state.Options{Fold: FoldSaved, Log: logger, Shared: shared})
			if err != nil || len(problems) > 0 {
				t.Fatal(problems, err)
			}
			agent := New(Options{Log: logger, Self: func(State) metric.Readings { return nil }, State: file})
			source, out, plans := newScripted(nil), &shelf{}, make(chan Plan)
			job := planJob(t, "a", "@every 10s", source)
			job.Log = logger
			sink := planSink("out", out)
			plan := func(jobs ...Job) Plan { return Plan{Concurrency: 1, Jobs: jobs, Sinks: []Sink{sink}} }
			stop := start(t, agent, plan(job), plans)
			time.Sleep(15 * time.Second)
			plans <- plan()
			disk.set(syscall.EIO)
			plans <- plan(job)
			time.Sleep(time.Minute)
			synctest.Wait()
			if j := agent.State().Jobs[0]; source.ticks != 2 || j.Up || !strings.HasSuffix(j.Error, "input/output error") {
				t.Errorf("shared: %v: %d runs, error %q", shared, source.ticks, j.Error)
			}
			disk.set(nil)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if out.shows()["a"] != 3 {
				t.Errorf("shared: %v: the total is %v, 3 have happened", shared, out.shows()["a"])
			}
			if n := strings.Count(log.String(), "the job waits: the state file cannot be read"); n != 1 || !strings.Contains(log.String(), "recovered") {
				t.Errorf("shared: %v: logged %d times\n%s", shared, n, log)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			file.Close()
		})
	}
}

// TestOnceReadsAgain checks a job which has waited for another process. The job continues from the state that the other process has
// written. If that state cannot be read, the job does not run.
func TestOnceReadsAgain(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			first, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
			second, disk := openFaulty(t, path, slog.New(slog.DiscardHandler))
			once := func(file *state.File, out *shelf, do func(context.Context, int) error) Outcome {
				agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
				plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(do))}, Sinks: []Sink{planSink("out", out)}}
				outcome, err := agent.Once(t.Context(), plan, Drain)
				if err != nil {
					t.Error(err)
				}
				file.Close()
				return outcome
			}
			var both sync.WaitGroup
			both.Go(func() {
				once(first, &shelf{}, func(context.Context, int) error {
					time.Sleep(10 * time.Second)
					disk.set(fault)
					return nil
				})
			})
			time.Sleep(5 * time.Second)
			out := &shelf{}
			outcome := once(second, out, nil)
			both.Wait()
			switch {
			case fault == nil && (out.shows()["a"] != 2 || len(outcome.Busy) > 0):
				t.Errorf("the total is %v, 2 have happened; busy: %q", out.shows()["a"], outcome.Busy)
			case fault != nil && (len(out.shows()) > 0 || len(outcome.Busy) != 1 || !strings.HasSuffix(outcome.Busy[0], "input/output error")):
				t.Errorf("the sink has %v; busy: %q", out.shows(), outcome.Busy)
			}
		})
	}
}

// returning is an agent with one job. The tests remove this job by a reload, and add it again by another.
type returning struct {
	*Agent
	disk   *faultyDir
	other  *state.File
	log    *lockedBuffer
	source *scripted
	out    *shelf
	down   atomic.Bool // the sink cannot deliver
	plans  chan Plan
	plan   func(jobs ...string) Plan
	stop   func()
}

func newReturning(t *testing.T) *returning {
	r := &returning{log: &lockedBuffer{}, source: newScripted(nil), plans: make(chan Plan)}
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	path := filepath.Join(t.TempDir(), "state")
	var file *state.File
	file, r.disk = openFaulty(t, path, logger)
	r.other, _ = openFaulty(t, path, logger)
	r.out = &shelf{judge: func(metric.Batch) error {
		if r.down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}}
	sink := planSink("out", r.out)
	r.plan = func(jobs ...string) Plan {
		p := Plan{Concurrency: 1, Sinks: []Sink{sink}}
		for _, name := range jobs {
			job := planJob(t, name, "@every 10s", r.source)
			job.Log = logger
			p.Jobs = append(p.Jobs, job)
		}
		return p
	}
	r.Agent = New(Options{Log: logger, Self: func(State) metric.Readings { return nil }, State: file})
	stop := start(t, r.Agent, r.plan("a"), r.plans)
	r.stop = func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		file.Close()
		r.other.Close()
	}
	return r
}

// runs checks the number of runs so far, and that no other process can run the job.
func (r *returning) runs(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	if ran, free := r.source.ran(), isFree(t, r.other, "a"); ran != want || free {
		t.Errorf("%d runs, want %d; free: %v\n%s", ran, want, free, r.log)
	}
}

// total checks that each run so far is counted once, and that there were at least atLeast runs.
func (r *returning) total(t *testing.T, atLeast int) {
	t.Helper()
	synctest.Wait()
	if got, ran := r.out.shows()["a"], r.source.ran(); int(got) != ran || ran < atLeast {
		t.Errorf("the total is %v, %d have happened, want %d at least\n%s", got, ran, atLeast, r.log)
	}
}

// TestReturns checks a job which is removed and added again. The job runs at once, even if its last batch is not delivered yet, and no
// other process can run it in the meantime.
func TestReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReturning(t)
		time.Sleep(15 * time.Second)
		r.runs(t, 2)
		r.down.Store(true)
		time.Sleep(10 * time.Second)
		for i := range 3 {
			r.plans <- r.plan()
			time.Sleep(2 * time.Second)
			r.runs(t, 3+i)
			r.plans <- r.plan("a")
			time.Sleep(time.Millisecond)
			r.runs(t, 4+i)
		}
		time.Sleep(2 * Drain) // the removed job would have been unlocked by now
		r.runs(t, 8)
		r.down.Store(false)
		time.Sleep(time.Minute)
		r.runs(t, 14)
		r.total(t, 14)
		if strings.Contains(r.log.String(), "the job waits") {
			t.Errorf("the job has waited:\n%s", r.log)
		}
		r.plans <- r.plan()
		time.Sleep(time.Second)
		if !isFree(t, r.other, "a") {
			t.Error("the job is not free, though it was removed and delivered")
		}
		r.stop()
	})
}

// TestReturnsUnwritten checks a job which is removed and added again while the disk is full. The job waits until its records are written,
// and logs this.
func TestReturnsUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReturning(t)
		time.Sleep(15 * time.Second)
		r.disk.set(syscall.ENOSPC)
		time.Sleep(10 * time.Second)
		r.plans <- r.plan()
		r.plans <- r.plan("a")
		time.Sleep(time.Minute)
		r.runs(t, 3)
		if why := r.State().Jobs[0].Error; !strings.HasPrefix(why, "this process has not yet written the last records of the job: write the journal") {
			t.Errorf("the job says %q", why)
		}
		r.disk.set(nil)
		time.Sleep(15 * time.Second)
		r.total(t, 4)
		log := r.log.String()
		if strings.Contains(log, "another process runs it") || strings.Count(log, "the job waits: its last records are not in the state file yet") != 1 {
			t.Errorf("the log:\n%s", log)
		}
		r.stop()
	})
}

// TestReturnsUnreadable checks a job which is removed and added again while the state file cannot be read. The job is given up in the
// end, so that another process can run it.
func TestReturnsUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReturning(t)
		time.Sleep(15 * time.Second)
		r.down.Store(true)
		time.Sleep(10 * time.Second)
		r.disk.set(syscall.EIO)
		r.plans <- r.plan()
		r.plans <- r.plan("a")
		time.Sleep(Drain - time.Second)
		r.runs(t, 3)
		time.Sleep(2 * time.Second)
		free := 0
		for range 20 {
			time.Sleep(claimPause / 10)
			if isFree(t, r.other, "a") {
				free++
			}
		}
		if free < 15 {
			t.Errorf("the job is free %d of 20 times", free)
		}
		r.disk.set(nil)
		r.down.Store(false)
		time.Sleep(time.Minute)
		r.total(t, 8)
		r.stop()
	})
}
