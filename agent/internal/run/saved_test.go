package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// registry is an API of events. It returns the events of a window, as a number and one by one.
type registry struct {
	mu    sync.Mutex
	times []time.Time
	broke bool // requests fail
}

func (r *registry) happen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Now())
}

func (r *registry) breaks(broke bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broke = broke
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// teller is a source that reads a registry: the increments of the window, and the events of the last hour.
type teller struct {
	*registry
	increments, events, change *metric.Desc
}

func (r *registry) source() *teller {
	return &teller{
		registry:   r,
		increments: &metric.Desc{Name: "increments_total", Type: metric.Counter, From: metric.Increment},
		events:     &metric.Desc{Name: "events_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: 3 * time.Hour, MaxEvents: 1e6},
		change:     &metric.Desc{Name: "change", Type: metric.Gauge, Delta: true},
	}
}

func (s *teller) Collect(_ context.Context, tick sources.Tick) (metric.Readings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broke {
		return nil, errors.New("503 Service Unavailable")
	}
	increments := metric.Reading{}
	var events []metric.Reading
	for i, at := range s.times {
		if at.After(tick.Start) && !at.After(tick.End) {
			increments.Value++
		}
		if at.After(tick.End.Add(-time.Hour)) {
			events = append(events, metric.Reading{Value: 1, Event: fmt.Sprint(i)})
		}
	}
	return metric.Readings{
		{Desc: s.increments, Rows: []metric.Reading{increments}},
		{Desc: s.events, Rows: events},
		{Desc: s.change, Rows: []metric.Reading{{Value: float64(len(s.times))}}},
	}, nil
}

// last is a sink that keeps the last values of a job.
type last struct {
	mu     sync.Mutex
	values map[string]float64
	sum    float64  // of all changes
	back   []string // totals that have stepped back
}

func (s *last) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Job == Self {
		return nil
	}
	before := s.values
	s.values = map[string]float64{}
	for _, f := range b.Families {
		for _, series := range f.Series {
			s.values[f.Desc.Name] = series.Value
			if f.Desc.Type == metric.Counter && series.Value < before[f.Desc.Name] {
				s.back = append(s.back, fmt.Sprintf("%s: %v after %v", f.Desc.Name, series.Value, before[f.Desc.Name]))
			}
		}
	}
	s.sum += s.values["change"]
	return nil
}

func (s *last) all() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values)
}

func (s *last) stepsBack() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.back)
}

func (s *last) get(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.values[name])
}

// life is an agent with a state file, from its start to its end.
type life struct {
	log   bytes.Buffer
	agent *Agent
	stop  func() error
	file  *state.File
}

func begin(t *testing.T, path, spec string, r *registry, s *last) *life {
	t.Helper()
	return beginOn(t, durable.NewDir(filepath.Dir(path)), path, spec, r, s)
}

func beginOn(t *testing.T, fsys durable.FS, path, spec string, r *registry, s *last) *life {
	t.Helper()
	l := &life{}
	log := slog.New(slog.NewTextHandler(&l.log, nil))
	file, problems, err := state.OpenOn(t.Context(), path, fsys, state.Options{Fold: FoldSaved, Log: log})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	l.file = file
	l.agent = New(Options{
		Log:  log,
		Self: func(State) metric.Readings { return nil }, State: file,
	})
	job := planJob(t, "job", spec, r.source())
	job.Log = log
	l.stop = start(t, l.agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("last", s)}}, nil)
	return l
}

func (l *life) end(t *testing.T) {
	t.Helper()
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	l.file.Close()
}

// kill ends the agent as kill -9 does. It returns a directory with a copy of the files as they are now, for the next agent.
func (l *life) kill(t *testing.T, dir string) string {
	t.Helper()
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l.end(t)
	return killed
}

// TestKilled checks an agent which is killed again and again. It never delivers a lower total, and in the end all totals are equal to
// what has happened.
func TestKilled(t *testing.T) {
	for seed := range uint64(9) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			dir, r, s := t.TempDir(), &registry{}, &last{}
			interval := []string{"@every 19s", "@every 2m", "@every 10m"}[dice.IntN(3)]
			for range 15 {
				l := begin(t, filepath.Join(dir, "state"), interval, r, s)
				for range dice.IntN(20) {
					time.Sleep(time.Duration(1 + dice.IntN(60_000_000_000)))
					r.happen()
				}
				time.Sleep(time.Duration(dice.IntN(8_000_000_000)))
				synctest.Wait()
				if dice.IntN(3) > 0 {
					dir = l.kill(t, dir)
				} else {
					l.end(t)
				}
			}
			l := begin(t, filepath.Join(dir, "state"), "@every 1s", r, s)
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			want := r.count()
			if events, increments := s.get("events_total"), s.get("increments_total"); events != want || increments != want {
				t.Errorf("seed %d: %d events and %d increments are counted, %d have happened\n%s", seed, events, increments, want, &l.log)
			}
			if back := s.stepsBack(); len(back) > 0 {
				t.Errorf("seed %d: %q", seed, back)
			}
			l.end(t)
		})
	}
}

// TestStopped checks an agent which is stopped in an orderly way at any moment. Nothing is counted twice or lost: the totals, and the sum
// of the delivered changes, are equal to what has happened.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dice := rand.New(rand.NewPCG(1, 0))
		path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
		for range 40 {
			l := begin(t, path, "@every 3s", r, s)
			for range dice.IntN(5) {
				time.Sleep(time.Duration(dice.IntN(9_000_000_000)))
				r.happen()
			}
			synctest.Wait()
			if dice.IntN(4) == 0 {
				r.breaks(true)
				time.Sleep(10 * time.Second)
			}
			l.end(t)
			r.breaks(false)
		}
		l := begin(t, path, "@every 3s", r, s)
		time.Sleep(time.Second)
		synctest.Wait()
		if want := r.count(); s.get("events_total") != want || s.get("increments_total") != want || int(s.sum) != want {
			t.Errorf("%d events, %d increments, changes of %v; %d have happened", s.get("events_total"), s.get("increments_total"), s.sum, want)
		}
		if up := l.agent.State(); up.File.Written.IsZero() || up.Jobs[0].LastSuccess.IsZero() {
			t.Errorf("state %+v", up)
		}
		l.end(t)
	})
}

// TestVanishedDisk checks that totals survive when the directory of the state vanishes and comes back, again and again. In between there
// is either an empty directory in its place or none. No total decreases, and all totals are equal to what has happened, even after a
// restart.
func TestVanishedDisk(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			dir, r, s := filepath.Join(t.TempDir(), "data"), &registry{}, &last{}
			for range 4 {
				l := begin(t, filepath.Join(dir, "state"), "@every 7s", r, s)
				for range 3 {
					pass := func() {
						for range dice.IntN(8) {
							time.Sleep(time.Duration(1 + dice.IntN(20_000_000_000)))
							r.happen()
						}
					}
					time.Sleep(time.Minute)
					pass()
					failures := l.file.Status().Failed
					if err := os.Rename(dir, dir+".away"); err != nil {
						t.Fatal(err)
					}
					if dice.IntN(2) == 0 {
						if err := os.Mkdir(dir, 0o700); err != nil {
							t.Fatal(err)
						}
					}
					pass()
					time.Sleep(10 * time.Second)
					synctest.Wait()
					if j := l.agent.State().Jobs[0]; j.Up || !strings.Contains(j.Error, "the file has vanished") || l.file.Status().Failed == failures {
						t.Errorf("seed %d: the job is up without its state: %+v", seed, j)
					}
					if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if want := r.count(); s.get("events_total") != want || s.get("increments_total") != want || int(s.sum) != want || len(s.stepsBack()) > 0 {
					t.Errorf("seed %d: %d events, %d increments, changes of %v; %d have happened; %q", seed, s.get("events_total"), s.get("increments_total"), s.sum, want, s.stepsBack())
				}
				l.end(t)
				if n := strings.Count(l.log.String(), "the run is held back until its state is on disk"); n != 3 || strings.Count(l.log.String(), "recovered") != 3 {
					t.Errorf("seed %d: logged %d times:\n%s", seed, n, &l.log)
				}
			}
		})
	}
}

// TestHeldBack checks a run whose state cannot be written. The run is held back. Meanwhile the job does not run, and the job's series
// expire. This is logged once, and all totals are right when the disk works again. A job without state to keep continues to run.
func TestHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, r, s := disktest.New(1), &registry{}, &last{}
		l := beginOn(t, disk, "/var/lib/cton/state", "@every 10s", r, s)
		time.Sleep(25 * time.Second)
		r.happen()
		synctest.Wait()
		disk.Change(func() { disk.Capacity = 1 })
		time.Sleep(time.Minute)
		synctest.Wait()
		job := l.agent.State().Jobs[0]
		if job.Up || !strings.HasSuffix(job.Error, "no space left on device") || s.get("events_total") != 0 || len(s.all()) > 0 {
			t.Errorf("with a full disk: up %t, error %q, the sink has %v", job.Up, job.Error, s.all())
		}
		for range 3 {
			r.happen()
		}
		disk.Change(func() { disk.Capacity = 0 })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if job := l.agent.State().Jobs[0]; !job.Up || s.get("events_total") != 4 || s.get("increments_total") != 4 || len(s.stepsBack()) > 0 {
			t.Errorf("with a disk that works again: up %t, the sink has %v, %q", job.Up, s.all(), s.stepsBack())
		}
		l.end(t)
		if n := strings.Count(l.log.String(), "the run is held back until its state is on disk"); n != 1 || !strings.Contains(l.log.String(), "recovered") {
			t.Errorf("logged %d times:\n%s", n, &l.log)
		}
	})
}

// TestUnusable checks a state file with a section that cannot be read: only the job of this section loses its state. It also checks that
// no window ends before it begins when the clock was set back.
func TestUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
		for record, want := range map[string]string{
			"":                     "it has no header",
			"{}":                   "it has no first line",
			"{\n":                  "first line: unexpected end of JSON input",
			"{}\n\x00":             "",
			"{}\n\x00\x07":         "unexpected end of the snapshot",
			"\x01\x00":             "it has no header",
			"\x01\x0012345678":     "its header is cut short",
			"\x01\x0012345678\x02": "",
		} {
			l := begin(t, path, "@every 10s", r, s)
			l.end(t)
			file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(record, "{}\n") {
				record = `{"fetches":"` + digest("") + `"}` + record[2:]
			}
			<-file.Append("job", []byte(record)).Done()
			file.Close()
			l = begin(t, path, "@every 10s", r, s)
			time.Sleep(time.Second)
			l.end(t)
			if text := l.log.String(); want != "" && !strings.Contains(text, want) || !l.agent.State().Jobs[0].Up {
				t.Errorf("%q: want %q\n%s", record, want, text)
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			journals, _ := filepath.Glob(path + ".journal-*")
			for _, journal := range journals {
				if err := os.Remove(journal); err != nil {
					t.Fatal(err)
				}
			}
		}
		saved := &Saved{LastSuccess: time.Now().Add(time.Hour)}
		w := &Worker{}
		if err := saved.Restore(w, time.Now()); err != nil || !w.LastSuccess.Equal(time.Now()) {
			t.Errorf("saved in the future: %v, %v", w.LastSuccess, err)
		}
	})
}

// slow is a sink with a queue on disk that takes some time to repeat a batch.
type slow struct {
	last
	order []string // what it has got, in order
}

func (s *slow) Write(ctx context.Context, b metric.Batch) error {
	s.got("written", b)
	return s.last.Write(ctx, b)
}

func (s *slow) Repeat(_ context.Context, b metric.Batch) error {
	time.Sleep(15 * time.Second)
	s.got("repeated", b)
	return nil
}

func (s *slow) got(what string, b metric.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Job != Self {
		s.order = append(s.order, what)
	}
}

// TestRepeatedFirst checks a restarted job. It commits no run before each sink with a queue on disk has the last batch of the earlier
// process. Otherwise that batch could be lost: after another kill, only the batch that was committed last is repeated. A sink without such
// a queue does not delay the job.
func TestRepeatedFirst(t *testing.T) {
	for _, isDurable := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			dir, r, s := t.TempDir(), &registry{}, &slow{}
			l := begin(t, filepath.Join(dir, "state"), "@every 10s", r, &last{})
			time.Sleep(5 * time.Second)
			r.happen()
			time.Sleep(10 * time.Second)
			dir = l.kill(t, dir)

			file, _, err := state.OpenOn(t.Context(), filepath.Join(dir, "state"), durable.NewDir(dir), state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
			sink := planSink("slow", s)
			sink.Durable = isDurable
			r.happen()
			stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "job", "@every 10s", r.source())}, Sinks: []Sink{sink}}, nil)
			committed := func() time.Time {
				synctest.Wait()
				sections, _, err := state.Read(filepath.Join(dir, "state"))
				if err != nil {
					t.Fatal(err)
				}
				saved, err := ReadSaved(sections["job"].Records)
				if err != nil {
					t.Fatal(err)
				}
				return saved.LastSuccess
			}
			before := committed()
			time.Sleep(14 * time.Second)
			if moved := committed().After(before); moved == isDurable {
				t.Errorf("while the batch is being repeated, another run is committed: %t (durable %t)", moved, isDurable)
			}
			time.Sleep(12 * time.Second)
			if !committed().After(before) {
				t.Error("no run is committed after the batch was repeated")
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			file.Close()
			if len(s.order) < 2 || s.order[0] != "repeated" || s.order[1] != "written" {
				t.Errorf("the sink has got %q", s.order)
			}
		})
	}
}

// TestOtherLeases checks a lease which shares its state file with another lease. The name of the other lease is returned as long as the
// other lease is in use. It is not returned if the leases are of different shards.
func TestOtherLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, _ := openFaulty(t, filepath.Join(t.TempDir(), "state"), slog.New(slog.DiscardHandler))
		defer file.Close()
		none, first, second := shard.Shard{}, shard.Shard{Index: 0, Count: 2}, shard.Shard{Index: 1, Count: 2}
		for i, step := range []struct {
			lease  string
			of     shard.Shard
			others []string
		}{
			{"a-0", first, nil},
			{"a-1", second, nil},
			{"a-0", first, nil}, // a lease for each shard
			{"b-0", first, []string{"a-0"}},
			{"a-1", second, nil},
			{"b-0", first, nil}, // a-0 is not used any more
			{"all", none, []string{"a-0", "a-1", "b-0"}},
			{"all", none, nil},
			{"a-0", first, []string{"all", "b-0"}},
			{"all", none, []string{"a-0"}},
		} {
			time.Sleep(time.Minute)
			if err := file.Reread(); err != nil {
				t.Fatal(err)
			}
			if got := OtherLeases(file, step.lease, step.of); !slices.Equal(got, step.others) {
				t.Errorf("step %d, lease %s: others are %q, want %q", i, step.lease, got, step.others)
			}
			<-StoreTerm(file, state.Condition{}, step.lease, "uid/1", step.of).Done()
		}
	})
}

// TestOutdate checks that the state of each job of a shard is marked as continued elsewhere, even if the configuration does not have the
// job any more. Nothing else is marked, and nothing is written when the term is over.
func TestOutdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	file, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
	defer file.Close()
	half := shard.Shard{Index: 1, Count: 2}
	var names, want []string
	for i := range 20 {
		job := planJob(t, fmt.Sprint("job-", i), "@every 1m", nil)
		names = append(names, job.Name)
		if half.Has(job.Name) {
			want = append(want, job.Name)
		}
		saved := &Saved{LastSuccess: time.Unix(1000, 0), Fetches: digest("")}
		w := NewWorker(job)
		w.Ledger.Journal(false)
		file.Append(job.Name, append(saved.header(nil), w.Ledger.Changes(true)...))
	}
	slices.Sort(names)
	slices.Sort(want)
	<-file.Append(loginPrefix+"a", []byte("token")).Done()
	if err := file.Reread(); err != nil {
		t.Fatal(err)
	}
	outdated := func(may bool, of shard.Shard) (had, marked []string) {
		had, err := Outdate(file, state.Condition{May: func() bool { return may }}, of)
		if err != nil {
			t.Fatal(err)
		}
		<-StoreTerm(file, state.Condition{May: func() bool { return may }}, "lease", "uid/1", of).Done()
		if err := file.Reread(); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			records, _ := file.Records(name)
			if s, err := ReadSaved(records); err != nil {
				t.Fatal(err)
			} else if s.Exported {
				marked = append(marked, name)
			}
		}
		return had, marked
	}
	if had, marked := outdated(false, shard.Shard{}); !slices.Equal(had, names) || marked != nil {
		t.Errorf("had %q; marked %q, though the time is over", had, marked)
	}
	if term, err := LoadTerm(file, "lease"); term != "" || err != nil {
		t.Errorf("term %q, %v, though the time is over", term, err)
	}
	if had, marked := outdated(true, half); !slices.Equal(had, want) || !slices.Equal(marked, want) || len(want) == 0 {
		t.Errorf("had %q, marked %q, want %q", had, marked, want)
	}
	if term, err := LoadTerm(file, "lease"); term != "uid/1" || err != nil {
		t.Errorf("term %q, %v", term, err)
	}
	if _, marked := outdated(true, shard.Shard{}); !slices.Equal(marked, names) {
		t.Errorf("marked %q, want all", marked)
	}
	if records, err := file.Records(loginPrefix + "a"); len(records) != 1 || string(records[0]) != "token" || err != nil {
		t.Errorf("the token is %q, %v", records, err)
	}
}
