package run

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// TestReloadKeepsWhatWasSaved checks that a reload, after which the process may be killed before the job is due again, leaves
// the state file as new as it was.
func TestReloadKeepsWhatWasSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
		l := begin(t, path, "@every 1m", r, s)
		time.Sleep(90 * time.Second)
		l.end(t)

		file, _, err := state.Open(t.Context(), path)
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
		saved, err := ReadSaved(sections["job"].Data)
		if err != nil {
			t.Fatal(err)
		}
		if !saved.LastSuccess.Equal(ticked) || saved.Final {
			t.Errorf("the file has the tick of %s (final: %t), want that of %s", saved.LastSuccess, saved.Final, ticked.UTC())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestResume checks the start timestamp of a series that is new after a restart: the start of the process. If the state file
// has no mark of a final state, or the mark could not be removed, it is the last saved tick, since the earlier process may
// have delivered the series after that.
func TestResume(t *testing.T) {
	for _, c := range []struct {
		name        string
		killed, bad bool // the first process was killed; the state file cannot be written
		want        time.Duration
	}{
		{"final", false, false, 30 * time.Second},
		{"killed", true, false, 2 * time.Minute},
		{"cannot be written", false, true, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "state")
				l := begin(t, path, "@every 10s", &registry{}, &last{})
				time.Sleep(time.Minute)
				synctest.Wait()
				killed, err := os.ReadFile(path)
				l.end(t)
				if err == nil && c.killed {
					err = os.WriteFile(path, killed, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(90 * time.Second)))

				file, _, err := state.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if c.bad { // a folder where the new file would be written
					if err := os.MkdirAll(filepath.Join(path+".tmp", "x"), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				page, agent := &shelf{}, newAgent()
				agent.state = file
				stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "job", "0 * * * * *", newScripted(nil))}, Sinks: []Sink{planSink("page", page)}}, nil)
				time.Sleep(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
				batch := page.batches[len(page.batches)-1]
				started := time.UnixMilli(batch.Families[0].Series[0].Start)
				if age := batch.Time.Sub(started); age != c.want {
					t.Errorf("the series starts %s before the tick, want %s", age, c.want)
				}
			})
		})
	}
}
