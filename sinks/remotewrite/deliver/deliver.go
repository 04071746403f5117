// Package deliver sends the records of a queue, which are remote-write requests, to a receiver.
//
//	*spool.Queue
//	     │   Sender.Run: a loop for each shard, one request at a time
//	     ▼
//	  delivery       a record that is being sent, or several that waited, in one or more chunks
//	     │   client: one HTTP request, and its response
//	     ▼
//	  receiver
//
// delivery.judge decides what a response means for a chunk. Either the chunk is settled; or it is sent again unchanged after a pause; or it
// is sent again in the other protocol (type negotiation), or in parts. It is sent in parts if the receiver refuses a whole request for one
// bad sample (search).
package deliver

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// VersionHeader is the request header with the version of the protocol.
const VersionHeader = "X-Prometheus-Remote-Write-Version"

// Options are the settings of a Sender.
type Options struct {
	URL     string
	Place   string // the URL without secrets, for messages
	Headers map[string]setting.Text
	Timeout time.Duration // time limit for one request
	HTTP    *httpclient.Client
	Host    *httpclient.Host

	Protocol wire.Protocol // 0 = the newest that the receiver accepts
	Shards   int           // number of shards of the queue; each is sent over its own connection
	MaxJoin  int           // the largest number of samples in a request that is joined from several records
	Order    spool.Order
	Refusals Refusals
	MaxAge   time.Duration // records that have been in the queue for longer are dropped
	Durable  bool          // records that are not sent stay on disk
	Patient  bool          // at the end, records on disk are also tried until the time is up, not left to the next process

	Stats  *sinks.Stats
	Log    *slog.Logger
	Memory sinks.Memory // keeps the protocol that the receiver accepts; nil = it is found out at each start
}

// Sender sends records to one receiver.
type Sender struct {
	options    Options
	client     client
	receiver   receiver
	protocol   negotiation
	size       sizeLimit
	suspects   suspects
	joining    joining
	outage     outage
	rejections rejections
	losses     losses

	accepted  atomic.Int64 // number of accepted requests
	succeeded atomic.Bool  // HandOver was called
}

// New returns a Sender.
func New(o Options) *Sender {
	s := &Sender{
		options:    o,
		client:     client{http: o.HTTP, url: o.URL, place: o.Place, headers: o.Headers, host: o.Host, timeout: o.Timeout},
		receiver:   receiverOf(o.URL),
		protocol:   negotiation{fixed: o.Protocol, memory: o.Memory, receiver: o.URL},
		suspects:   suspects{seed: maphash.MakeSeed()},
		losses:     losses{log: o.Log, stats: o.Stats, durable: o.Durable},
		rejections: rejections{log: o.Log, stats: o.Stats, place: o.Place, fixed: o.Protocol != 0},
	}
	s.outage = outage{log: o.Log, ended: s.losses.end}
	return s
}

// Drop counts samples that are not sent. It logs them if the queue was full or they have waited for too long.
func (s *Sender) Drop(why metric.Reason, samples int) { s.losses.drop(why, samples) }

// Protocol returns a text that names the protocol of the next request and says why this protocol is used.
func (s *Sender) Protocol() string { return s.protocol.describe(time.Now()) }

// HandOver says that another Sender will send the records that are left when the context "stopping" is done. Records in memory can then be left
// as well.
func (s *Sender) HandOver() { s.succeeded.Store(true) }

// Format returns the protocol of the next request, and the largest size of a request in bytes before compression.
func (s *Sender) Format() (wire.Protocol, int) {
	now := time.Now()
	return s.protocol.current(now), s.size.bytes(now)
}

// Check sends a request without samples. It returns an error if the receiver would not accept a request with samples.
func (s *Sender) Check(ctx context.Context) error {
	p := max(s.options.Protocol, wire.V1)
	r, err := s.sendEmpty(ctx, p)
	if err == nil && r.code == 415 && s.options.Protocol == 0 {
		r, err = s.sendEmpty(ctx, wire.V2)
	}
	switch {
	case err != nil:
		return err
	case r.isForeign():
		return r.errorWithHint(s.options.Place)
	case r.code/100 == 2, r.code == 400: // some receivers reject a request without samples
		return nil
	case r.code == 415:
		return fmt.Errorf("%w (%s)", r.error(s.options.Place), wrongProtocol(p, s.options.Protocol != 0))
	}
	return r.errorWithHint(s.options.Place)
}

// sendEmpty sends a request without samples.
func (s *Sender) sendEmpty(ctx context.Context, p wire.Protocol) (response, error) {
	b := wire.NewTable().NewBuilder()
	b.Begin(p)
	return s.client.send(ctx, p, snappy.Encode(nil, b.End().Raw))
}

// probe finds out whether the receiver accepts 2.0 again after a fallback to 1.0. It does so at most once per interval.
func (s *Sender) probe(ctx context.Context) {
	if !s.protocol.probeDue(time.Now()) {
		return
	}
	if r, err := s.sendEmpty(ctx, wire.V2); err == nil && r.code/100 == 2 && r.hasWritten {
		message, _ := s.protocol.accepted(wire.V2)
		s.options.Log.Info(message, "url", s.options.Place)
	}
}

// End logs the dropped samples that were not logged yet.
func (s *Sender) End() { s.losses.end() }

// Run sends the records of q until the context "stopping" is done and q is empty, or until the context "life" is done.
func (s *Sender) Run(life, stopping context.Context, q *spool.Queue) {
	// A record of this process is sent only after the records of earlier processes, which can be in other shards. So runShard can end while its
	// shard still has records that must wait. The next round sends these records.
	for left := -1; left != 0 && life.Err() == nil; {
		before := left
		var shards sync.WaitGroup
		var failed atomic.Bool
		for shard := range s.options.Shards {
			shards.Go(func() {
				if !s.runShard(life, stopping, q, shard) {
					failed.Store(true)
				}
			})
		}
		shards.Wait()
		if left = q.Pending().Records; failed.Load() || left == before && (s.succeeded.Load() || !q.LeaveUnread()) {
			return // the remaining records cannot be read or sent now
		}
	}
}

// runShard sends the records of a shard. It returns false if it has stopped at a record that it could not send.
func (s *Sender) runShard(life, stopping context.Context, q *spool.Queue, shard int) bool {
	var pace pace
	refusals := backoff{limit: maxSearchPause}
	for life.Err() == nil {
		r, ok := q.Next(stopping, shard, s.options.Order)
		if !ok {
			return true
		}
		pace.wait(stopping, time.Now().Add(-r.Age))
		s.probe(life)
		records := s.joined(q, r)
		d := s.newDelivery(records, &refusals)
		d.saved = func() bool { return s.succeeded.Load() || q.Saved(idsOf(records)...) }
		d.allSaved = func() bool { return s.succeeded.Load() || q.AllSaved() }
		if !d.run(life, stopping) {
			if d.saved() || !d.partlySettled {
				return false // the record stays on disk, is handed over, or is dropped with the queue
			}
			d.drop(sinks.Shutdown)
		}
		q.Ack(idsOf(records)...)
	}
	return false
}
