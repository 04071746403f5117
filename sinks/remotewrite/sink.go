package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// sink has two sides that meet at the queue: Write, which knows the series, and Run, which knows the receiver.
type sink struct {
	env     sinks.Env
	dir     string // of the queue; "" = it is in memory
	options spool.Options
	queue   atomic.Pointer[spool.Queue]
	opened  chan struct{} // closed when queue is there

	// Write's side.
	mu         sync.Mutex
	ended      bool
	maxAge     time.Duration // of a sample; 0 = any
	staleAtEnd bool
	rules      []*relabel.Config
	series     *registry
	jobs       map[string]*job
	tick       tick
	packer     *packer

	// Run's side.
	client *httpclient.Client
	order  spool.Order
	sender *sender
}

func newSink(c *Config, env sinks.Env, client *httpclient.Client, rules []*relabel.Config) *sink {
	s := &sink{
		env: env,
		dir: c.Spool.Dir,
		options: spool.Options{
			Shards:    c.Connections,
			MaxBytes:  int64(c.Spool.MaxBytes),
			MaxMemory: min(int64(c.Spool.MaxBytes), maxMemory),
			MaxAge:    time.Duration(c.Spool.MaxAge),
			Log:       env.Log,
			Dropped:   func(why spool.Reason, m spool.Meta) { env.Stats.Drop(metric.Reason(why), m.Samples+m.Histograms) },
		},
		opened:     make(chan struct{}),
		maxAge:     time.Duration(c.MaxSampleAge),
		staleAtEnd: c.StaleOnExit,
		rules:      rules,
		series:     newRegistry(time.Now()),
		jobs:       map[string]*job{},
		client:     client,
		order:      spool.Order(c.Spool.Order),
		sender:     newSender(c, env, newPost(c, env, client)),
	}
	if vault := env.Web.Secrets; s.dir != "" && vault != nil && !filepath.IsAbs(s.dir) {
		s.dir = filepath.Join(vault.Dir, s.dir)
	}
	s.packer = newPacker(s.series.table, c.Connections, c.Request.MaxSamples, &s.sender.limit)
	env.Stats.TellPending(s.pending)
	if s.dir == "" {
		_ = s.open() // which cannot fail in memory
	}
	return s
}

// open opens the queue, if it is not open.
func (s *sink) open() error {
	if s.queue.Load() != nil {
		return nil
	}
	q, err := spool.Open(s.dir, s.options)
	if err != nil {
		return err
	}
	s.queue.Store(q)
	close(s.opened)
	return nil
}

func (s *sink) pending() sinks.Pending {
	q := s.queue.Load()
	if q == nil {
		return sinks.Pending{}
	}
	p := q.Pending()
	return sinks.Pending{Samples: p.Samples, Bytes: p.Bytes, Oldest: p.Oldest}
}

// Write queues the batch's samples and the staleness markers of the series that are gone from it. It waits for the queue
// to be opened, and for the disk.
func (s *sink) Write(ctx context.Context, batch metric.Batch) error {
	select {
	case <-s.opened:
	case <-ctx.Done():
		return fmt.Errorf("queue samples for remote-write: the spool %s is not open: %w", s.dir, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return sinks.Permanent(errors.New("queue samples for remote-write: the sink has ended"))
	}
	j := s.jobs[batch.Job]
	if j == nil {
		j = newJob(s.env.Target(batch.Job), s.env.External, s.rules, s.options.Shards)
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
	now := time.Now()
	for reason, n := range j.take(batch, again, s.bounds(now), s.series, &s.tick) {
		s.env.Stats.Drop(reason, n)
	}
	s.packer.begin(wire.Protocol(s.sender.dialect.speak(now)), now)
	j.pack(&s.tick, s.packer)
	s.series.forget(batch.Time.UnixMilli())
	s.queue.Load().Put(s.packer.done()...)
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
