package run

import (
	"context"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// Several processes can share a state file: agents of several shards, or an agent and a command such as once. Then a job runs only
// while its process has the job's lock, and starts with the state that the last process has written. So two agents never run a job
// at the same time, also when it moves to another shard, and nothing is counted twice.

// claimPause is the pause between two attempts to get the lock of a job while another process has the lock.
const claimPause = time.Second

// claim is the subject of reports that a job waits because another process runs it.
const claim = "lock"

// restoreAll loads the state of jobs before they start. It leaves out jobs that another process runs: they load their state when they
// get their lock (claim).
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

// lock locks the job. It waits while another process has the lock, until ctx ends: the error then satisfies state.IsHeld. If locking
// fails for another reason, lock logs the error and returns nil: the job runs without a lock.
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

// giveUpAll waits until all records of jobs that have stopped are on disk, and then unlocks the jobs.
func (a *Agent) giveUpAll(jobs []*job) {
	if a.state == nil || !a.state.Shared || len(jobs) == 0 {
		return
	}
	a.state.Flush()
	for _, j := range jobs {
		j.giveUp()
	}
}

// take locks the job without waiting, and reads the state file again. It returns an error if another process has the lock.
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

// claim waits until no other process runs the job, and then loads the state that the other process has written. It returns false if
// ctx ends first.
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
