package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// tick does one tick, from the fetch to the sinks. Whatever goes wrong before the batch leaves no trace in the ledger, and
// the window unread. It tells whether another window may wait to be read.
func (j *job) tick(ctx context.Context) (more bool) {
	at := j.now()
	window, skipped, due := j.Window(j.cursor, at)
	if !due {
		j.status.idle()
		return false
	}
	j.status.begin(at)
	readings, err := Collect(ctx, &j.Job, window)
	if err == nil {
		err = Unmeasured(readings)
	}
	if err == nil {
		err = j.take(window, readings)
	}
	if errors.Is(err, errStopped) {
		if j.left != nil {
			j.Log.Warn("tick left behind", "error", err)
		}
		return false // nothing is wrong with the job
	}
	if err != nil {
		j.status.fail(err, time.Since(at))
		j.report.failed("tick failed", theTick, err)
		j.expireAt = j.ValidUntil(j.lastSuccess)
		j.expireIfDue()
		return false
	}
	if skipped > 0 {
		j.Log.Error("windows skipped: they lie further back than window.max_catch_up", "windows", skipped, "from", j.cursor, "to", window.Start)
	}
	j.lastSuccess, j.cursor, j.expireAt = at, window.End, time.Time{}
	j.status.read(j.cursor, skipped)
	j.unsaved, j.ticked, j.whole = j.agent.state != nil, true, nil
	j.saveIfDue()
	return j.Windows != nil
}

// now is the time of a tick: its samples come behind those of the one before, also where many windows are read at once, or
// the clock was set back a little.
func (j *job) now() time.Time {
	now := time.Now()
	if gap := now.Round(0).Sub(j.lastSuccess); gap > -time.Minute && gap < time.Millisecond {
		return j.lastSuccess.Add(time.Millisecond)
	}
	return now
}

// take turns readings into a batch and hands it to the sinks.
func (j *job) take(tick sources.Tick, readings metric.Readings) (err error) {
	defer func() {
		if p := recover(); p != nil {
			j.Log.Error("ledger panicked", "panic", p, "stack", string(debug.Stack()))
			j.ledger = ledger.New(j.ValidUntil, j.MaxSeries)
			err = fmt.Errorf("ledger panicked, its totals begin anew: %v", p)
		}
	}()
	at := tick.Time
	result, err := j.ledger.ApplyWindow(at, tick.End, readings)
	if err != nil {
		return err
	}
	j.status.succeed(result, time.Since(at))
	j.report.took(result)
	j.showing = true
	j.agent.deliver(&j.Job, metric.Batch{Job: j.Name, Time: at, Families: result.Families, Every: j.pace(at)})
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
