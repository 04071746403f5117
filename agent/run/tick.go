package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/collectington/collectington/agent/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Window is the tick at a time. It reaches back to the last tick that succeeded; where that is zero, one interval.
func (j *Job) Window(lastSuccess, at time.Time) sources.Tick {
	start, interval := lastSuccess, j.Schedule.Interval(at)
	if start.IsZero() {
		start = at.Add(-interval)
	}
	return sources.Tick{Time: at, Start: start, End: at, Interval: interval}
}

// tick does one tick, from the fetch to the sinks. Whatever goes wrong before the batch leaves no trace in the ledger.
func (j *job) tick(ctx context.Context) {
	at := time.Now()
	j.status.begin(at)
	readings, err := Collect(ctx, &j.Job, j.Window(j.lastSuccess, at))
	if err == nil {
		err = Unmeasured(readings)
	}
	if err == nil {
		err = j.take(at, readings)
	}
	if errors.Is(err, errStopped) {
		if j.left != nil {
			j.Log.Warn("tick left behind", "error", err)
		}
		return // nothing is wrong with the job
	}
	if err != nil {
		j.status.fail(err, time.Since(at))
		j.report.failed("tick failed", theTick, err)
		j.expireAt = j.ValidUntil(j.lastSuccess)
		j.expireIfDue()
		return
	}
	j.lastSuccess, j.expireAt = at, time.Time{}
	j.unsaved = j.agent.state != nil
	j.saveIfDue()
}

// take turns readings into a batch and hands it to the sinks.
func (j *job) take(at time.Time, readings metric.Readings) (err error) {
	defer func() {
		if p := recover(); p != nil {
			j.Log.Error("ledger panicked", "panic", p, "stack", string(debug.Stack()))
			j.ledger = ledger.New(j.ValidUntil, j.MaxSeries)
			err = fmt.Errorf("ledger panicked, its totals begin anew: %v", p)
		}
	}()
	result, err := j.ledger.Apply(at, readings)
	if err != nil {
		return err
	}
	j.status.succeed(result, time.Since(at))
	j.report.took(result)
	j.showing = true
	j.agent.deliver(&j.Job, metric.Batch{Job: j.Name, Time: at, Families: result.Families, Every: j.Schedule.Interval(at)})
	return nil
}

// expireIfDue ends the job's series once its last values are no longer valid. The ledger keeps its totals.
func (j *job) expireIfDue() {
	if j.expireAt.IsZero() || time.Now().Before(j.expireAt) {
		return
	}
	j.expireAt = time.Time{}
	if j.showing {
		j.showing = false
		j.Log.Warn("the last values are no longer valid: ending the job's series", "last_success", j.lastSuccess)
		j.agent.deliver(&j.Job, metric.Batch{Job: j.Name, Time: time.Now()})
	}
}
