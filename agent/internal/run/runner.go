package run

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// rerunPause is the pause before a sink or source that cannot work is started again.
const rerunPause = 10 * time.Second

// keepRunning calls run, which is the Run method of a sink or source, again and again until ctx ends. It calls the function "failed" with
// each error, and returns if this function returns true. The argument "part" is either "sink" or "source", for messages.
func keepRunning(ctx context.Context, log *slog.Logger, part string, run func(context.Context) error, failed func(error) (ended bool)) {
	var failure clock.Continuing
	for {
		began := time.Now()
		err := contain(log, part, func() error { return run(ctx) })
		if ctx.Err() != nil || err != nil && failed(err) {
			return
		}
		if err == nil || time.Since(began) > rerunPause { // it has worked for some time
			failure.Ended()
		}
		if err != nil {
			if since, now := failure.Failed(err.Error()); now {
				log.Error("the "+part+" has failed, and is started again later", append([]any{"error", err, "pause", rerunPause.String()}, since...)...)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rerunPause):
		}
	}
}

// startRunner runs the source's Run until ctx ends, if the source has one. It returns a function that waits until Run has ended and then
// runs the job once more. But the function does not run the job if another process may already run it.
func (j *job) startRunner(ctx context.Context) (wait func()) {
	r, ok := j.Source.(sources.Runner)
	if !ok {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keepRunning(ctx, j.Log, "source", r.Run, func(error) bool { return false })
	}()
	return func() {
		<-ended
		if !j.may() {
			return
		}
		last, end := withGrace(ctx)
		defer end()
		release, ok := j.agent.acquire(last)
		if !ok {
			return
		}
		j.life, j.release = last, sync.OnceFunc(release)
		defer j.release()
		j.tick(last)
	}
}

// Forward passes a stream of a job's source to all sinks of the job. It returns nil when all sinks have taken the stream, or
// the error of a sink that has not.
func (a *Agent) Forward(ctx context.Context, job string, stream metric.Stream) error {
	for _, s := range a.sinksOf(job) {
		select {
		case <-s.ready: // perhaps a sink that is not ready waits for a replaced sink that still uses its directory
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		f, ok := s.Sink.Sink.(sinks.Forwarder)
		if !ok {
			return fmt.Errorf("sinks.%s: cannot pass on samples that were scraped or received: name a remote_write sink in the sinks of the job", s.Name)
		}
		if err := contain(s.Log, "sink", func() error { return f.Forward(ctx, stream) }); err != nil {
			return fmt.Errorf("sinks.%s: %w", s.Name, err)
		}
	}
	return nil
}

// sinksOf returns the running sinks of a job.
func (a *Agent) sinksOf(job string) (all []*sink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sinks {
		if goes(a.jobs, job, s.Name) {
			all = append(all, s)
		}
	}
	return all
}
