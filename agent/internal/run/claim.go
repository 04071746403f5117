package run

import (
	"context"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// Several shards can have one state file, or other commands use it beside an agent. Then a job runs only under its lock, and goes on
// from what the process before has left. So a job that moves is never run by two agents at once, and nothing is counted twice.

// claimPause is how often a job asks for its lock that another process has.
const claimPause = time.Second

// claim is the subject of reports of a job that another process runs.
const claim = "lock"

// restoreAll loads the state of jobs that are about to start. Those that another process runs wait for it when they start.
func (a *Agent) restoreAll(jobs []*job) {
	if a.state == nil {
		return
	}
	free := jobs
	if a.state.Shared {
		now, end := context.WithCancel(context.Background())
		end()
		free = nil
		for _, j := range jobs {
			if j.lock(now) == nil {
				free = append(free, j)
			}
		}
		if err := a.state.Reread(); err != nil {
			a.log.Error("jobs wait until the state file can be read", "error", err)
			for _, j := range free {
				j.giveUp()
			}
			return
		}
	}
	for _, j := range free {
		j.restore()
	}
}

// lock locks the job, until ctx ends: state.IsHeld is true for the error then. If the job cannot be locked for another reason, it runs
// all the same, as it does if the state file cannot be locked.
func (j *job) lock(ctx context.Context) error {
	unlock, err := j.agent.state.LockJob(ctx, j.Name)
	if state.IsHeld(err) {
		return err
	}
	if err != nil {
		j.Log.Error("cannot lock the job: another process may run it at the same time", "error", err)
		unlock = func() {}
	}
	j.unlock = unlock
	return nil
}

// giveUp unlocks the job, if it is locked.
func (j *job) giveUp() {
	if j.unlock != nil {
		j.unlock()
		j.unlock = nil
	}
}

// giveUpAll unlocks jobs that have stopped, when all that they have written is on disk.
func (a *Agent) giveUpAll(jobs []*job) {
	if a.state == nil || !a.state.Shared || len(jobs) == 0 {
		return
	}
	a.state.Flush()
	for _, j := range jobs {
		j.giveUp()
	}
}

// take locks the job, and reads the state file again.
func (j *job) take() error {
	now, end := context.WithCancel(context.Background())
	end()
	if err := j.lock(now); err != nil {
		return fmt.Errorf("the job is %w: it runs here when that process has released it", err)
	}
	if err := j.agent.state.Reread(); err != nil {
		j.giveUp()
		return err
	}
	return nil
}

// claim waits until no other process runs the job, and goes on from what that process has left. It reports false if ctx has ended.
func (j *job) claim(ctx context.Context) bool {
	if j.agent.state == nil || !j.agent.state.Shared || j.unlock != nil {
		return true
	}
	for {
		err := j.take()
		if err == nil {
			break
		}
		j.status.hold(err.Error())
		if state.IsHeld(err) {
			j.report.failed("the job waits: another process runs it", claim, err)
		} else {
			j.report.failed("the job waits: the state file cannot be read", claim, err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(claimPause):
		}
	}
	j.report.recovered(claim)
	j.restore()
	j.agent.mu.Lock()
	defer j.agent.mu.Unlock()
	j.agent.repeatLast([]*job{j})
	return true
}
