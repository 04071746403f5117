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

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// reader is a source that records which windows it has read. Its API fails while it is down. In each window, the API shows one event for
// each minute that begins in it.
type reader struct {
	mu    sync.Mutex // makes what a test sets between two ticks visible to the next tick
	down  bool
	takes time.Duration
	read  []sources.Tick
	count *metric.Desc
	once  *metric.Desc
}

func newReader() *reader {
	return &reader{
		count: &metric.Desc{Name: "windows_total", Type: metric.Counter, From: metric.Increment},
		once:  &metric.Desc{Name: "events_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: 2 * time.Hour, MaxEvents: 1e6},
	}
}

func (s *reader) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	s.mu.Lock()
	takes := s.takes
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("503 Service Unavailable")
	}
	s.read = append(s.read, tick)
	var events []metric.Reading
	for at := tick.Start.Truncate(time.Minute); at.Before(tick.End); at = at.Add(time.Minute) {
		if !at.Before(tick.Start) {
			events = append(events, metric.Reading{Value: 1, Event: at.UTC().String()})
		}
	}
	return metric.Readings{
		{Desc: s.count, Rows: []metric.Reading{{Value: 1}}},
		{Desc: s.once, Rows: events},
	}, nil
}

// set changes what the API does from now on.
func (s *reader) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// windowed returns a job that reads windows.
func windowed(t *testing.T, spec string, source sources.Source, length, settle time.Duration) Job {
	job := planJob(t, "job", spec, source)
	job.Windows = schedule.NewWindows(length, time.UTC)
	job.Windows.Settle, job.Windows.MaxCatchUp = settle, 1000*time.Hour
	return job
}

// times returns the windows that were read, without their overlap, and when they were read.
func (s *reader) times(overlap time.Duration) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, tick := range s.read {
		all = append(all, fmt.Sprintf("%s-%s at %s", tick.Start.Add(overlap).UTC().Format("15:04"), tick.End.UTC().Format("15:04"), tick.Time.UTC().Format("15:04:05.000")))
	}
	return all
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEveryWindowOnce checks that every window is read once, in order, and all events are counted once, while API and agent
// fail at random. Schedule, length, settling time and overlap are random. After a kill, the job continues from the saved
// state.
func TestEveryWindowOnce(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			path := filepath.Join(t.TempDir(), "state")
			source, shown := newReader(), &last{}
			source.takes = time.Duration(dice.IntN(3)) * time.Second
			spec := []string{"@every 50s", "* * * * *", "@every 3m", "*/10 * * * *", "0 * * * *"}[dice.IntN(5)]
			length := []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, time.Hour}[dice.IntN(4)]
			job := windowed(t, spec, source, length, time.Duration(dice.IntN(200))*time.Second)
			job.Windows.Overlap = []time.Duration{0, 90 * time.Second, time.Hour}[dice.IntN(3)]
			job.Overlap = []schedule.Overlap{schedule.Skip, schedule.Queue, schedule.Cancel}[dice.IntN(3)]
			var log bytes.Buffer
			job.Log = slog.New(slog.NewTextHandler(&log, nil))
			live := func(pause time.Duration, kill bool) {
				file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				agent := New(Options{Log: job.Log, Self: func(State) metric.Readings { return nil }, State: file})
				stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("last", shown)}}, nil)
				time.Sleep(pause)
				synctest.Wait()
				killed := t.TempDir()
				if err := os.CopyFS(killed, os.DirFS(filepath.Dir(path))); err != nil {
					t.Fatal(err)
				}
				if stopped := stop(); stopped != nil {
					t.Error(stopped)
				}
				file.Close()
				if kill {
					path = filepath.Join(killed, "state")
					source.forget(t, path)
				}
			}
			for range 12 {
				source.down = dice.IntN(3) == 0
				live(time.Duration(dice.Int64N(int64(time.Hour))), dice.IntN(2) == 0)
				time.Sleep(time.Duration(dice.Int64N(int64(30 * time.Minute))))
			}
			source.down, source.takes = false, 0
			live(5*time.Hour, false)
			source.check(t, seed, job.Windows, shown, &log)
		})
	}
}

// forget drops what was read after the state was saved.
func (s *reader) forget(t *testing.T, path string) {
	sections, _, err := state.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var cursor time.Time
	if section, ok := sections["job"]; ok {
		saved, err := ReadSaved(section.Records)
		if err != nil {
			t.Fatal(err)
		}
		cursor = saved.Cursor
	}
	for len(s.read) > 0 && s.read[len(s.read)-1].End.After(cursor) {
		s.read = s.read[:len(s.read)-1]
	}
}

func (s *reader) check(t *testing.T, seed uint64, w *schedule.Windows, shown *last, log fmt.Stringer) {
	for i, tick := range s.read {
		if i > 0 && (!tick.Start.Add(w.Overlap).Equal(s.read[i-1].End) || !tick.Time.After(s.read[i-1].Time)) || tick.End.Add(w.Settle).After(tick.Time) {
			t.Fatalf("seed %d: %+v comes after %+v", seed, tick, s.read[max(i, 1)-1])
		}
	}
	begin, end := s.read[0].Start, s.read[len(s.read)-1].End
	if behind := time.Since(end); behind > w.Length+w.Settle+time.Hour {
		t.Errorf("seed %d: at the end it is %s behind", seed, behind)
	}
	minutes := 0
	for at := begin.Truncate(time.Minute); at.Before(end); at = at.Add(time.Minute) {
		if !at.Before(begin) {
			minutes++
		}
	}
	if windows, events := shown.get("windows_total"), shown.get("events_total"); windows != len(s.read) || events != minutes {
		t.Errorf("seed %d: %d windows and %d events are counted, want %d and %d\n%s", seed, windows, events, len(s.read), minutes, log)
	}
}

// TestZoneOfDays checks the time zone of ticks. Dates in requests are in this time zone. The tick of a window of a day has the time zone of
// the window's midnights. Other ticks have no time zone.
func TestZoneOfDays(t *testing.T) {
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for length, want := range map[time.Duration]string{24 * time.Hour: "Europe/Oslo", time.Hour: ""} {
		job := windowed(t, "@every 1h", newReader(), length, 0)
		job.Windows = schedule.NewWindows(length, oslo)
		job.Windows.MaxCatchUp = 1000 * time.Hour
		tick, _, due := job.NextWindow(time.Time{}, now)
		got := ""
		if tick.Zone != nil {
			got = tick.Zone.String()
		}
		if !due || got != want {
			t.Errorf("windows of %s: due %t, zone %q, want %q", length, due, got, want)
		}
	}
}

// TestBurst checks how many windows may be read at one due time.
func TestBurst(t *testing.T) {
	job := windowed(t, "@every 2h", newReader(), time.Minute, 2*time.Minute)
	now := time.Now()
	for until, want := range map[time.Duration]int{5 * time.Minute: minBurst, 2 * time.Hour: 240} {
		if got := job.Burst(now, now.Add(until)); got != want {
			t.Errorf("%d windows if the next due time is in %s, want %d", got, until, want)
		}
	}
	job.Windows = nil
	if got := job.Burst(now, now.Add(time.Hour)); got != 1 {
		t.Errorf("%d without windows, want 1", got)
	}
}

// TestWindowsCatchUp checks the windows that were missed in an outage. After the outage they are read at once and in order, each as a
// tick of its own. As many are read at one due time as Burst returns. A window that fails is tried again before any other.
func TestWindowsCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newReader()
		agent := newAgent()
		job := windowed(t, "*/5 * * * *", source, time.Minute, 2*time.Minute)
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}}, nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		expect(t, "the first", source.times(0), "00:02-00:03 at 00:05:00.000")
		source.set(func() { source.down = true })
		time.Sleep(75 * time.Minute)
		synctest.Wait()
		source.set(func() { source.down, source.read = false, nil })
		if state := agent.State().Jobs[0]; state.Up || state.Cursor.UTC().Format("15:04") != "00:03" || state.Ticks[Failed] != 15 {
			t.Errorf("while it fails: %+v", state)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got := source.times(0)
		if len(got) != minBurst {
			t.Fatalf("%d windows were read at once", len(got))
		}
		expect(t, "the burst", append(got[:2:2], got[minBurst-1]),
			"00:03-00:04 at 01:25:00.000", "00:04-00:05 at 01:25:00.001", "01:02-01:03 at 01:25:00.059")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got = source.times(0)
		expect(t, "the rest", append(got[minBurst:minBurst+1:minBurst+1], got[len(got)-1]), "01:03-01:04 at 01:30:00.000", "01:27-01:28 at 01:30:00.024")
		if state := agent.State().Jobs[0]; !state.Up || state.Cursor.UTC().Format("15:04") != "01:28" || state.Ticks[Skipped] != 0 || state.Skipped != 0 {
			t.Errorf("at last: %+v", state)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// crowd is a source of a gauge, and of the events of several teams: one event for each team in every window.
type crowd struct {
	reader
	teams int
}

func (s *crowd) Collect(_ context.Context, tick sources.Tick) (metric.Readings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = append(s.read, tick)
	events := metric.Measured{Desc: s.count}
	for team := range s.teams {
		events.Rows = append(events.Rows, metric.Reading{Labels: []string{fmt.Sprint(team)}, Value: 1})
	}
	return metric.Readings{{Desc: s.once, Rows: []metric.Reading{{Value: 1}}}, events}, nil
}

// TestWindowBeyondMaxSeries checks a window whose events would go beyond max_series. It is read again until max_series is raised. Its
// events count then.
func TestWindowBeyondMaxSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &crowd{teams: 2}
		source.count = &metric.Desc{Name: "events_total", Type: metric.Counter, From: metric.Events, LabelNames: []string{"team"}}
		source.once = &metric.Desc{Name: "load", Type: metric.Gauge}
		agent, shown, reload := newAgent(), &last{}, make(chan Plan)
		job := windowed(t, "* * * * *", source, time.Minute, 0)
		sinks := []Sink{planSink("last", shown)}
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: sinks}, reload)
		time.Sleep(90 * time.Second) // one window
		source.set(func() { source.teams = 20 })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if state := agent.State().Jobs[0]; state.Up || state.Cursor.UTC().Format("15:04") != "00:01" || !strings.Contains(fmt.Sprint(state.Error), "events_total grew most in this run (+18, to 20 series)") {
			t.Errorf("beyond the limit: %+v", state)
		}
		job.Key, job.MaxSeries = "raised", 100
		reload <- Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: sinks}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(source.read); n < 5 || source.read[1].End != source.read[2].End {
			t.Fatalf("read %v", source.times(0))
		}
		windows := map[time.Time]bool{}
		for _, tick := range source.read {
			windows[tick.End] = true
		}
		if got := shown.get("events_total"); got != len(windows)-1 { // the first window had no such team
			t.Errorf("%d events of the last team, want %d: %v", got, len(windows)-1, source.times(0))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWindowsSlowCatchUp checks that overdue windows are read one after another without a pause, even if this takes longer than the
// interval of the schedule. The due times that pass in the meantime do not count as skipped.
func TestWindowsSlowCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newReader()
		agent := newAgent()
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{windowed(t, "* * * * *", source, time.Minute, 0)}}, nil)
		time.Sleep(90 * time.Second)
		synctest.Wait()
		source.set(func() { source.down = true })
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		source.set(func() { source.down, source.takes, source.read = false, 25*time.Second, nil })
		time.Sleep(135 * time.Second)
		synctest.Wait()
		expect(t, "read", source.times(0), "00:01-00:02 at 00:22:00.000", "00:02-00:03 at 00:22:25.000", "00:03-00:04 at 00:22:50.000",
			"00:04-00:05 at 00:23:15.000")
		if state := agent.State().Jobs[0]; state.Ticks[Skipped] != 0 {
			t.Errorf("%+v", state)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWindowsTooFarBack checks that windows older than max_catch_up are skipped, logged and counted, but only when a later
// window was read.
func TestWindowsTooFarBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newReader()
		agent := newAgent()
		job := windowed(t, "*/5 * * * *", source, 10*time.Minute, 0)
		job.Windows.MaxCatchUp = time.Hour
		var log bytes.Buffer
		job.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}}, nil)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		source.set(func() { source.down = true })
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if state := agent.State().Jobs[0]; state.Skipped != 0 || strings.Contains(log.String(), "skipped") {
			t.Errorf("while nothing is read: %+v\n%s", state, &log)
		}
		source.set(func() { source.down = false })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		expect(t, "the first window read", source.times(0)[2:3], "02:10-02:20 at 03:15:00.000")
		state := agent.State().Jobs[0]
		if err := stop(); err != nil {
			t.Error(err)
		}
		if text := log.String(); state.Skipped != 12 || strings.Count(text, "windows skipped: they are older than window.max_catch_up") != 1 || !strings.Contains(text, "windows=12") {
			t.Errorf("%+v\n%s", state, text)
		}
	})
}

// TestWindowsStayValid checks that a job's values stay valid between windows however often the job is due. Without valid_for, they end two
// windows after the last window that was read. With valid_for, this duration starts when the next window could be read. A due time without
// a window to read does not count as a tick.
func TestWindowsStayValid(t *testing.T) {
	for validFor, until := range map[time.Duration]string{0: "03:05", 30 * time.Minute: "02:32", 3 * time.Hour: "05:02"} {
		synctest.Test(t, func(t *testing.T) {
			source, page := newReader(), &shelf{}
			agent := newAgent()
			job := windowed(t, "*/5 * * * *", source, time.Hour, 2*time.Minute)
			job.ValidFor = setting.Duration(validFor)
			stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("page", page)}}, nil)
			ended := ""
			for range 6 * 60 {
				time.Sleep(time.Minute)
				synctest.Wait()
				var begun bool
				source.set(func() { source.down, begun = len(source.read) == 2, len(source.read) > 0 }) // 00:00 to 01:00, read at 01:05
				if _, shows := page.shows()["job"]; !shows && ended == "" && begun {
					ended = time.Now().UTC().Format("15:04")
				}
			}
			expect(t, "read", source.times(0), "23:00-00:00 at 00:05:00.000", "00:00-01:00 at 01:05:00.000")
			state := agent.State().Jobs[0]
			if ended != until || state.Ticks[Succeeded] != 2 || state.Ticks[Failed] == 0 {
				t.Errorf("valid_for %s: the values ended at %s, want %s; %+v", validFor, ended, until, state)
			}
			if page.batches[0].Every != time.Hour {
				t.Errorf("a batch says that the next comes after %s", page.batches[0].Every)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWindowsOverReload checks a job whose windows change in a reload, or that gets windows or loses them. The job continues from the time
// up to which it has read.
func TestWindowsOverReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, reload := newReader(), make(chan Plan)
		agent := newAgent()
		plain := planJob(t, "job", "@every 7m", source)
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{plain}}, reload)
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		change := func(key string, job Job) {
			job.Key = key
			reload <- Plan{Concurrency: 1, Jobs: []Job{job}}
			time.Sleep(20 * time.Minute)
			synctest.Wait()
		}
		change("five", windowed(t, "@every 7m", source, 5*time.Minute, time.Minute))
		change("ten", windowed(t, "@every 7m", source, 10*time.Minute, time.Minute))
		change("none", plain)
		var all []string
		for _, tick := range source.read {
			all = append(all, tick.Start.UTC().Format("15:04")+"-"+tick.End.UTC().Format("15:04"))
		}
		expect(t, "read", all, "23:53-00:00", "00:00-00:07", "00:07-00:10", "00:10-00:15", "00:15-00:20", "00:20-00:30", "00:30-00:40",
			"00:40-00:48", "00:48-00:55", "00:55-01:02")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWindowsOnce checks two single runs. The first reads all windows that are due. The second reads none of these windows again.
func TestWindowsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, source := filepath.Join(t.TempDir(), "state"), newReader()
		once := func() JobState {
			file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
			out, err := agent.Once(t.Context(), Plan{Concurrency: 1, Jobs: []Job{windowed(t, "@hourly", source, time.Minute, 0)}}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return out.Jobs[0]
		}
		once()
		if state := once(); !state.Up || len(source.read) != 1 {
			t.Errorf("nothing new is due: %+v", state)
		}
		time.Sleep(2 * time.Hour)
		if state := once(); !state.Up || len(source.read) != 121 || state.Ticks[Succeeded] != 120 {
			t.Errorf("%d windows were read: %+v", len(source.read), state)
		}
	})
}

// TestWindowAfterClockSetBack checks that no window ends before its start. If the clock was set back, the time up to which earlier ticks
// have read can be in the future: then the tick reads one interval, like the first tick. Times are compared by the wall clock, not by the
// monotonic clock.
func TestWindowAfterClockSetBack(t *testing.T) {
	job := planJob(t, "job", "@every 5m", nil)
	at := time.Now()
	read := at.Round(0).Add(time.Hour)
	if tick, _, _ := job.NextWindow(read, at); !tick.Start.Equal(at.Add(-5*time.Minute)) || !tick.End.Equal(at) {
		t.Errorf("an hour back: %s to %s", tick.Start, tick.End)
	}
}
