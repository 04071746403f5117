package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// registry is an upstream of events. It returns those of a window, as a number and one by one.
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

// teller is a source on a registry: increments of the window, and events of the last hour.
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
	sum    float64 // of all changes
}

func (s *last) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Job == Self {
		return nil
	}
	s.values = map[string]float64{}
	for _, f := range b.Families {
		for _, series := range f.Series {
			s.values[f.Desc.Name] = series.Value
		}
	}
	s.sum += s.values["change"]
	return nil
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
	l := &life{}
	file, problems, err := state.Open(t.Context(), path)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	l.file = file
	log := slog.New(slog.NewTextHandler(&l.log, nil))
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

// TestKilled kills an agent again and again: the next one finds the file as it was at that moment. What was counted since
// it was written is counted once more from there, so that all totals come out as what has happened.
func TestKilled(t *testing.T) {
	for seed := range uint64(9) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			dir, r, s := t.TempDir(), &registry{}, &last{}
			path := filepath.Join(dir, "state")
			interval := []string{"@every 19s", "@every 2m", "@every 10m"}[dice.IntN(3)]
			for range 15 {
				l := begin(t, path, interval, r, s)
				for range dice.IntN(20) {
					time.Sleep(time.Duration(1 + dice.IntN(60_000_000_000)))
					r.happen()
				}
				time.Sleep(time.Duration(dice.IntN(8_000_000_000)))
				synctest.Wait()
				killed, err := os.ReadFile(path)
				l.end(t)
				if dice.IntN(3) > 0 && err == nil { // else the end was an orderly one
					if err := os.WriteFile(path, killed, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			l := begin(t, path, "@every 1s", r, s)
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			want := r.count()
			if events, increments := s.get("events_total"), s.get("increments_total"); events != want || increments != want {
				t.Errorf("seed %d: %d events and %d increments are counted, %d have happened\n%s", seed, events, increments, want, &l.log)
			}
			l.end(t)
		})
	}
}

// TestStopped checks that after an orderly end nothing is counted twice or lost, changes included, wherever it comes.
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

// TestSavedSoon checks that the file is no older than twice the pause, however often the job ticks, and is not written more
// often than that.
func TestSavedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, r := filepath.Join(t.TempDir(), "state"), &registry{}
		l := begin(t, path, "0-2 0 * * * *", r, &last{}) // three ticks, a second apart, at each full hour
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + 2*time.Second + 2*statePause + time.Millisecond)))
		synctest.Wait()
		sections, _, err := state.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		saved, err := ReadSaved(sections["job"].Data)
		if err != nil || !saved.LastSuccess.Equal(l.agent.State().Jobs[0].LastSuccess) {
			t.Errorf("saved is %+v, %v; the last tick was at %v", saved, err, l.agent.State().Jobs[0].LastSuccess)
		}
		l.end(t)
	})
}

// TestUnwritable checks that an agent keeps running if its state cannot be written, logs that once, and saves it when it can.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		path, r, s := filepath.Join(dir, "state"), &registry{}, &last{}
		next := path + ".tmp" // a directory where the new file would be
		if err := os.MkdirAll(filepath.Join(next, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		l := begin(t, path, "@every 1s", r, s)
		time.Sleep(time.Minute)
		synctest.Wait()
		failed := l.agent.State().File.Failed
		if failed < 10 || failed > 14 || s.get("increments_total") != 0 || !l.agent.State().Jobs[0].Up {
			t.Errorf("%d writes have failed; state %+v", failed, l.agent.State())
		}
		if err := os.RemoveAll(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		l.end(t)
		if n := strings.Count(l.log.String(), "the state cannot be saved"); n != 1 || !strings.Contains(l.log.String(), "recovered") {
			t.Errorf("logged %d times:\n%s", n, &l.log)
		}
		if sections, _, err := state.Read(path); err != nil || len(sections) != 1 {
			t.Errorf("%v, %v", sections, err)
		}
	})
}

// TestUnusable checks that a section that cannot be read costs its job alone, and that a clock that was set back makes no
// window that ends before it begins.
func TestUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
		for section, want := range map[string]string{
			"":             "the section has no first line",
			"{}":           "the section has no first line",
			"{\n":          "first line: unexpected end of JSON input",
			"{}\n\x00":     "",
			"{}\n\x00\x07": "unexpected end of the snapshot",
		} {
			l := begin(t, path, "@every 10s", r, s)
			l.end(t)
			file, _, err := state.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(section, "{}\n") {
				section = `{"fetches":"` + digest("") + `"}` + section[2:]
			}
			file.Put("job", []byte(section))
			if err := file.Write(); err != nil {
				t.Fatal(err)
			}
			file.Close()
			l = begin(t, path, "@every 10s", r, s)
			time.Sleep(time.Second)
			l.end(t)
			if text := l.log.String(); want != "" && !strings.Contains(text, want) || !l.agent.State().Jobs[0].Up {
				t.Errorf("%q: want %q\n%s", section, want, text)
			}
		}
		saved := &Saved{LastSuccess: time.Now().Add(time.Hour)}
		w := &Worker{}
		if err := saved.Restore(w, time.Now()); err != nil || !w.LastSuccess.Equal(time.Now()) {
			t.Errorf("saved in the future: %v, %v", w.LastSuccess, err)
		}
	})
}
