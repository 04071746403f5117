package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
)

// Several processes can share a state file: agents of several shards, or an agent and a command such as once. Then a job runs only while
// its process has the job's lock, and starts with the state that the previous process has written. So two agents never run a job at the
// same time, even if the job moves to another shard, and nothing is counted twice.

// claimPause is the pause between two attempts to get the lock of a job while another process has the lock.
const claimPause = time.Second

// Subjects of reports.
const (
	claim   = "claim" // the job waits for its lock or for its state
	locking = "lock"  // the lock could not be taken, so the job runs without it
)

// restoreAll loads the state of jobs before they start. It leaves out jobs that another process runs. If the state file cannot be read,
// it leaves out all jobs. The jobs that were left out load their state later, see claim.
func (a *Agent) restoreAll(jobs []*job) {
	if a.state == nil {
		return
	}
	free := jobs
	if a.state.Shared {
		now, end := context.WithCancel(context.Background())
		end()
		free = nil
		a.state.Flush() // the last records of jobs that were removed lately
		for _, j := range jobs {
			if j.tryLock(now) == nil {
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

// errUnwritten is the error if a job was removed lately, and its last records are not on disk yet.
var errUnwritten = errors.New("this process has not yet written the last records of the job")

// tryLock locks the job. If a reload has removed a job with this name, and that job is still locked, tryLock takes over its lock. This is
// safe: in the queues of the sinks, the batches of the removed job come before those of this job. The error is errUnwritten while records
// of the removed job are not on disk.
func (j *job) tryLock(now context.Context) error {
	a := j.agent
	a.mu.Lock()
	if old := a.left[j.Name]; old != nil && old.unlock != nil {
		defer a.mu.Unlock()
		if err := a.state.Written(j.Name); err != nil {
			return fmt.Errorf("%w: %w", errUnwritten, err)
		}
		j.from, j.unlock, old.unlock = old, old.unlock, nil
		return nil
	}
	a.mu.Unlock()
	return j.lock(now)
}

// lock locks the job. While another process has the lock, it waits. If ctx ends during this wait, the error satisfies state.IsHeld. If
// locking fails for another reason, lock logs the error and returns nil: the job runs without a lock.
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

// giveUp unlocks the job, if it is locked. A lock that was taken over from a removed job goes back to the removed job, if batches of the
// removed job are perhaps still undelivered.
func (j *job) giveUp() {
	if j.unlock == nil {
		return
	}
	j.agent.mu.Lock()
	defer j.agent.mu.Unlock()
	if j.from != nil && j.agent.left[j.Name] == j.from {
		j.from.unlock = j.unlock
	} else {
		j.unlock()
	}
	j.unlock, j.from = nil, nil
}

// giveUpAll unlocks jobs that have stopped, but only when all their records are on disk. Otherwise another process could run a job from
// an older state, and the late record of this process would replace the newer record of the other process. As long as the disk fails, the
// jobs stay locked, but no longer than until the state file is closed.
func (a *Agent) giveUpAll(jobs []*job) {
	if a.state == nil || !a.state.Shared {
		return
	}
	late := false
	a.state.AfterWriting(func() {
		if names := a.unlock(jobs); late && len(names) > 0 {
			a.log.Info("jobs unlocked: other processes can run them", "jobs", names)
		}
	}, func(err error) {
		if names := a.locked(jobs); len(names) > 0 {
			late = true
			a.log.Error("jobs stay locked until their last records are in the state file: no other process can run them until then, or until cton ends",
				"jobs", names, "error", err)
		}
	})
}

// locked returns the names of the jobs that are locked.
func (a *Agent) locked(jobs []*job) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range jobs {
		if j.unlock != nil {
			names = append(names, j.Name)
		}
	}
	return names
}

// unlock unlocks jobs, except those whose locks were taken over. It returns the names of the jobs that it has unlocked.
func (a *Agent) unlock(jobs []*job) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range jobs {
		if a.left[j.Name] == j {
			delete(a.left, j.Name)
		}
		if j.unlock != nil {
			j.unlock()
			j.unlock = nil
			names = append(names, j.Name)
		}
	}
	return names
}

// leave unlocks jobs that a reload has removed, in the background: when no sink has batches of these jobs in memory any more, or after
// Drain at the latest. If they were unlocked at once, another process could deliver newer samples first, and a receiver would then refuse
// the older ones.
func (a *Agent) leave(ctx context.Context, jobs []*job) {
	if a.state == nil || !a.state.Shared || len(jobs) == 0 {
		return
	}
	a.mu.Lock()
	sinks := a.sinks
	for _, j := range jobs {
		a.left[j.Name] = j
	}
	a.mu.Unlock()
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
	err := j.tryLock(now)
	if state.IsHeld(err) {
		return fmt.Errorf("the job is %w: it runs here when that process has released it", err)
	}
	if err != nil {
		return err
	}
	err = j.agent.state.Reread()
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
		switch {
		case state.IsHeld(err):
			j.report.failed("the job waits: another process runs it", claim, err)
		case errors.Is(err, errUnwritten):
			j.report.failed("the job waits: its last records are not in the state file yet", claim, err)
		default:
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
