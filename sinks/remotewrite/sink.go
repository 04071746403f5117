package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// sink has two sides that meet at the queue: Write, which knows the series, and Run, which knows the receiver.
type sink struct {
	env   sinks.Env
	queue *queue

	// Write's side.
	mu         sync.Mutex
	maxRequest int
	maxAge     time.Duration // of a sample; 0 = any
	staleAtEnd bool
	series     *registry
	jobs       map[string]*job

	// Run's side.
	client *http.Client
	sender *sender
}

func newSink(c *Config, env sinks.Env, client *http.Client) *sink {
	s := &sink{
		env:        env,
		queue:      newQueue(c.Queue.MaxSamples, env.Stats),
		maxRequest: c.Request.MaxSamples,
		maxAge:     time.Duration(c.MaxSampleAge),
		staleAtEnd: c.StaleOnExit,
		series:     newRegistry(time.Now()),
		jobs:       map[string]*job{},
		client:     client,
		sender:     newSender(c, env, newPost(c, env, client)),
	}
	env.Stats.TellPending(s.queue.pending)
	return s
}

// Write queues the batch's samples and the staleness markers of the series that are gone from it. It waits for nothing.
func (s *sink) Write(_ context.Context, batch metric.Batch) error {
	if s.queue.isClosed() {
		return sinks.Permanent(errors.New("queue samples for remote-write: the sink has ended"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[batch.Job]
	if j == nil {
		j = newJob(s.env.Target(batch.Job), s.env.External)
		s.jobs[batch.Job] = j
	}
	batch = j.slow.behind(batch)
	s.put(j, &batch, false)
	if j.slow.keep(batch); len(j.now) == 0 {
		delete(s.jobs, batch.Job)
	}
	return nil
}

// put queues a job's batch, for the first time or again.
func (s *sink) put(j *job, batch *metric.Batch, again bool) {
	cut, now := newCutter(s.maxRequest), time.Now()
	for reason, n := range j.take(batch, again, s.bounds(now), s.series, cut) {
		s.env.Stats.Drop(reason, n)
	}
	for _, samples := range cut.done() {
		s.queue.put(&chunk{samples: samples, taken: now})
	}
}

// Run sends what is queued, in order, until ctx ends; then it goes on for at most Env.Drain, and what is left is dropped.
func (s *sink) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.env.Drain):
			end()
		case <-life.Done():
		}
	})()
	defer s.client.CloseIdleConnections()
	defer s.queue.close()
	go s.repeat(ctx)
	for {
		c := s.queue.next(ctx)
		if c == nil && s.staleAtEnd && s.endAll() {
			continue
		}
		if c == nil || !s.sender.deliver(life, ctx, c) {
			return nil
		}
		s.queue.settled()
	}
}

// endAll queues staleness markers for all series, and tells whether there were any.
func (s *sink) endAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, j := range s.jobs {
		s.put(j, &metric.Batch{Job: name, Time: time.Now()}, false)
	}
	any := len(s.jobs) > 0
	clear(s.jobs)
	return any
}
