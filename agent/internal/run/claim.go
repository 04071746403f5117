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

// Subjects of reports.
const (
	claim   = "claim" // the job waits for its lock or for its state
	locking = "lock"  // the lock could not be taken, so the job runs without it
)

// restoreAll loads the state of jobs before they start. It leaves out jobs that another process runs, and all jobs if the state file
// cannot be read: they load their state later (claim).
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
			for _, j := range free {
				j.giveUp()
			}
			return
		}
	}
	for _, j := range free {
		if j.load() != nil {
			j.giveUp()
		}
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
		j.report.failed("cannot lock the job: another process may run it at the same time", locking, err)
		unlock = func() {}
	} else {
		j.report.recovered(locking)
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

// giveUpAll unlocks jobs that have stopped, but only when all their records are on disk. Otherwise another process could run a job from
// an older state, and the late record of this process would replace the newer record of the other process. While the disk fails, the
// jobs stay locked, at the latest until the state file is closed.
func (a *Agent) giveUpAll(jobs []*job) {
	if a.state == nil || !a.state.Shared {
		return
	}
	var names []string
	var unlocks []func()
	for _, j := range jobs {
		if j.unlock != nil {
			names, unlocks = append(names, j.Name), append(unlocks, j.unlock)
			j.unlock = nil
		}
	}
	if len(names) == 0 {
		return
	}
	late := false
	a.state.AfterWriting(func() {
		for _, unlock := range unlocks {
			unlock()
		}
		if late {
			a.log.Info("jobs unlocked: other processes can run them", "jobs", names)
		}
	}, func(err error) {
		late = true
		a.log.Error("jobs stay locked until their last records are in the state file: no other process can run them until then, or until cton ends",
			"jobs", names, "error", err)
	})
}

// leave gives up jobs that a reload has removed, in the background: when no sink has batches of them in memory any more, or after Drain
// at the latest. Another process could otherwise deliver newer samples first, and a receiver refuses the older ones then.
func (a *Agent) leave(ctx context.Context, jobs []*job) {
	if a.state == nil || !a.state.Shared || len(jobs) == 0 {
		return
	}
	sinks := a.sinks
	a.leaving.Go(func() {
		limit := time.After(Drain)
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
	wait:
		for holds(sinks, jobs) {
			select {
			case <-look.C:
			case <-limit:
				break wait
			case <-ctx.Done():
				<-a.drained
				break wait
			}
		}
		a.giveUpAll(jobs)
	})
}

// holds reports whether a sink has batches of jobs in memory.
func holds(sinks []*sink, jobs []*job) bool {
	for _, s := range sinks {
		for _, j := range jobs {
			if j.GoesTo(s.Name) && s.holds(j.Name) {
				return true
			}
		}
	}
	return false
}

// take locks the job without waiting, reads the state file again and loads the job's state. It returns an error if another process has
// the lock, or if the file cannot be read.
func (j *job) take() error {
	now, end := context.WithCancel(context.Background())
	end()
	if err := j.lock(now); err != nil {
		return fmt.Errorf("the job is %w: it runs here when that process has released it", err)
	}
	err := j.agent.state.Reread()
	if err == nil {
		err = j.load()
	}
	if err != nil {
		j.giveUp()
	}
	return err
}

// claim waits until no other process runs the job and the state file can be read, and then loads the job's state. It returns false if
// ctx ends first.
func (j *job) claim(ctx context.Context) bool {
	if j.agent.state == nil || j.loaded {
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
	j.agent.mu.Lock()
	defer j.agent.mu.Unlock()
	j.agent.repeatLast([]*job{j})
	return true
}
