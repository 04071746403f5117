package run

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// TestReloadKeepsWhatWasSaved holds that a reload, after which the process may be killed before the job is due again, leaves
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
