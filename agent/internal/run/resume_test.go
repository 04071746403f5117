package run

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// TestReloadKeepsWhatWasSaved checks that the state file is as up to date after a reload as it was before. Otherwise, a kill before the job
// is due again would lose changes.
func TestReloadKeepsWhatWasSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
		l := begin(t, path, "@every 1m", r, s)
		time.Sleep(90 * time.Second)
		l.end(t)

		file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		agent, reload := newAgent(), make(chan Plan)
		agent.state = file
		plan := func(key, spec string) Plan {
			job := planJob(t, "job", spec, r.source())
			job.Key = key
			return Plan{Concurrency: 1, Jobs: []Job{job}}
		}
		stop := start(t, agent, plan("before", "@every 1m"), reload)
		time.Sleep(10*time.Minute + time.Second)
		ticked := agent.State().Jobs[0].LastSuccess
		reload <- plan("after", "@daily")
		time.Sleep(time.Minute)
		synctest.Wait()
		sections, _, err := state.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		saved, err := ReadSaved(sections["job"].Records)
		if err != nil {
			t.Fatal(err)
		}
		if !saved.LastSuccess.Equal(ticked) || saved.Delivered {
			t.Errorf("the file has the tick of %s (delivered: %t), want that of %s", saved.LastSuccess, saved.Delivered, ticked.UTC())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestReloadKeepsWhatWasWithheld reloads a job whose run is held back by a full disk. When the disk has space again, the job that replaces it
// delivers the batch of this run, although its own first run is hours away. If the agent is stopped before that, the state says that
// the batch was not delivered, so the next start delivers it.
func TestReloadKeepsWhatWasWithheld(t *testing.T) {
	for _, works := range []bool{true, false} {
		t.Run(fmt.Sprint("disk works again before the end ", works), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, disk := openFaulty(t, filepath.Join(t.TempDir(), "state"), slog.New(slog.DiscardHandler))
				defer file.Close()
				agent, reload, page, source := newAgent(), make(chan Plan), &shelf{}, newScripted(nil)
				agent.state = file
				plan := func(key, spec string) Plan {
					job := planJob(t, "job", spec, source)
					job.Key = key
					return Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("page", page)}}
				}
				stop := start(t, agent, plan("before", "* * * * *"), reload)
				time.Sleep(90 * time.Second)
				disk.set(syscall.ENOSPC)
				time.Sleep(time.Minute)
				reload <- plan("after", "0 12 * * *")
				time.Sleep(10 * time.Second)
				if got := page.shows()["job"]; got != 1 || source.ran() != 2 {
					t.Errorf("while the disk is full: %v is delivered after %d runs, want 1 after 2", got, source.ran())
				}
				want := 1.0
				if works {
					want = 2
					disk.set(nil)
					time.Sleep(time.Minute)
					page.mu.Lock()
					if last := page.batches[len(page.batches)-1]; !last.Complete {
						t.Error("the batch that was held back is not complete")
					}
					page.mu.Unlock()
					if job := agent.State().Jobs[0]; !job.Up {
						t.Errorf("the job is still held back: %s", job.Error)
					}
				} else {
					time.AfterFunc(jobGrace+time.Second, func() { disk.set(nil) })
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				if got := page.shows()["job"]; got != want || source.ran() != 2 {
					t.Errorf("in the end: %v is delivered after %d runs, want %v after 2", got, source.ran(), want)
				}
				time.Sleep(time.Minute) // until the file is written again
				file.Flush()
				records, err := file.Latest("job")
				if err != nil {
					t.Fatal(err)
				}
				if saved, err := ReadSaved(records); err != nil || saved.Delivered != works {
					t.Errorf("the state says that everything was delivered: %t, %v; want %t", saved.Delivered, err, works)
				}
			})
		})
	}
}

// TestResume checks the start timestamp of a series that is new after a restart. It is the start of the process, both after an orderly
// end and after a kill.
func TestResume(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				l := begin(t, filepath.Join(dir, "state"), "@every 10s", &registry{}, &last{})
				time.Sleep(time.Minute)
				synctest.Wait()
				if killed {
					dir = l.kill(t, dir)
				} else {
					l.end(t)
				}
				time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(90 * time.Second)))

				file, _, err := state.Open(t.Context(), filepath.Join(dir, "state"), state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				page, agent := &shelf{}, newAgent()
				agent.state = file
				stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "job", "0 * * * * *", newScripted(nil))}, Sinks: []Sink{planSink("page", page)}}, nil)
				time.Sleep(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
				batch := page.batches[len(page.batches)-1]
				started := time.UnixMilli(batch.Families[0].Series[0].Start)
				if age := batch.Time.Sub(started); age != 30*time.Second {
					t.Errorf("the series starts %s before the tick, want 30s", age)
				}
			})
		})
	}
}
