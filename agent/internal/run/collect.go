package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// leaveAfter is how long a source may go on after it was told to stop. Then its tick ends without it.
const leaveAfter = 3 * time.Second

// Collect runs a job's source once, within the job's time-out. A panic in the source is an error like any other. A source
// that does not stop when its time is over is left behind, and is not asked again before it has ended.
func Collect(ctx context.Context, job *Job, tick sources.Tick) (metric.Readings, error) {
	if job.left != nil {
		select {
		case <-job.left:
			job.left = nil
		default:
			return nil, errors.New("the source has not ended an earlier tick yet")
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, job.Timeout, fmt.Errorf("no end within the timeout of %s", job.Timeout))
	defer cancel()
	var readings metric.Readings
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		readings, err = contain(ctx, job, tick)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(leaveAfter):
			job.left = ended
			return nil, fmt.Errorf("%w, and the source goes on though it was told to stop", context.Cause(ctx))
		}
	}
	if err == nil && ctx.Err() != nil {
		// What came after the end was not waited for by anybody.
		return nil, context.Cause(ctx)
	}
	return readings, err
}

func contain(ctx context.Context, job *Job, tick sources.Tick) (readings metric.Readings, err error) {
	defer func() {
		if p := recover(); p != nil {
			job.Log.Error("source panicked", "panic", p, "stack", string(debug.Stack()))
			readings, err = nil, fmt.Errorf("source panicked: %v", p)
		}
	}()
	return job.Source.Collect(ctx, tick)
}

// Unmeasured is why a tick has measured nothing at all, nil where it has measured something: a tick of which every metric
// failed is a tick that failed.
func Unmeasured(readings metric.Readings) error {
	for _, m := range readings {
		if m.Err == nil {
			return nil
		}
	}
	switch len(readings) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %w", readings[0].Desc.Name, readings[0].Err)
	}
	return fmt.Errorf("none of %d metrics could be measured; %s: %w", len(readings), readings[0].Desc.Name, readings[0].Err)
}
