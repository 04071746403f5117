package run

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// rerunPause is the time until a sink or source that cannot work is started again.
const rerunPause = 10 * time.Second

// keepRunning calls the Run of a sink or source until ctx ends, also after it has failed. failed gets each error and reports whether
// to end. part is what run belongs to: the sink or the source.
func keepRunning(ctx context.Context, log *slog.Logger, part string, run func(context.Context) error, failed func(error) (ended bool)) {
	for logged := ""; ; {
		began := time.Now()
		err := contain(log, part, func() error { return run(ctx) })
		if ctx.Err() != nil || err != nil && failed(err) {
			return
		}
		if err == nil || time.Since(began) > rerunPause { // it has worked in between
			logged = ""
		}
		if err != nil && err.Error() != logged {
			logged = err.Error()
			log.Error("the "+part+" cannot work, it is started again later", "error", err, "pause", rerunPause.String())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rerunPause):
		}
	}
}

// startRunner starts the Run of a source that has one, until ctx ends. It returns a function that waits for the end of Run, and then
// runs the job once more.
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

// Forward passes a stream of a job's source to all sinks of the job. It returns when all have taken it, or why one has not.
func (a *Agent) Forward(ctx context.Context, job string, stream metric.Stream) error {
	for _, s := range a.sinksOf(job) {
		select {
		case <-s.ready: // until then, the sink that it replaces may hold its directory
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
