package remotewrite

import (
	"context"
	"sync"
	"time"

	"github.com/collectington/collectington/sinks"
)

// Run sends what is queued until ctx ends; then it goes on for at most Env.Drain. What is left then stays on disk for the
// next run, and is dropped where it is in memory.
func (s *sink) Run(ctx context.Context) error {
	if err := s.open(); err != nil {
		return err
	}
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
	go s.repeat(ctx)
	s.send(life, ctx)
	if s.staleAtEnd && s.endAll() {
		s.send(life, ctx)
	}
	return s.close()
}

// close ends both sides.
func (s *sink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.queue.Load().Close()
}

// send sends what is queued, each shard over its own connection, until stopping has come and nothing waits, or life has
// ended. What has waited for an earlier run's records is sent in a second round: its shards may have ended before those
// were.
func (s *sink) send(life, stopping context.Context) {
	for left := -1; left != 0 && life.Err() == nil; {
		before := left
		var shards sync.WaitGroup
		for shard := range s.options.Shards {
			shards.Go(func() { s.sendShard(life, stopping, shard) })
		}
		shards.Wait()
		if left = s.queue.Load().Pending().Records; left == before {
			return // they cannot be read now
		}
	}
}

func (s *sink) sendShard(life, stopping context.Context, shard int) {
	q := s.queue.Load()
	var pace pace
	for life.Err() == nil {
		r, ok := q.Next(stopping, shard, s.order)
		if !ok {
			return
		}
		pace.wait(stopping, time.UnixMilli(r.Taken))
		d := s.sender.delivery(r)
		if !d.contained(life, stopping) {
			if s.dir != "" || !d.touched {
				return // it stays on disk, or is dropped with the queue
			}
			d.giveUp(sinks.Shutdown)
		}
		q.Ack(r.ID)
	}
}
