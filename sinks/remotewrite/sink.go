package remotewrite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	prometheus "github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
	"github.com/collectington/collectington/sinks/remotewrite/encode"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// sink implements sinks.Sink. Write encodes batches into the queue, and Run sends them from the queue.
type sink struct {
	env          sinks.Env
	client       *httpclient.Client
	staleOnExit  bool
	spoolDir     string // "" = in memory
	spoolOptions spool.Options

	opening sync.Once
	queue   atomic.Pointer[spool.Queue] // nil before the first use
	sender  *deliver.Sender

	inherited []spool.Record // what the sink that this one replaces could not deliver; set before the first use of the queue

	heir atomic.Pointer[sink] // the sink that replaces this one; nil = none

	mu      sync.Mutex
	ended   bool
	encoder *encode.Encoder
	resends map[string]*resend // the newest batches of slow jobs, by name of the job

	warnedOfName bool // a warning about a name that 1.0 does not allow was logged
}

func newSink(c *Config, env sinks.Env, client *httpclient.Client, rules []*prometheus.Config) *sink {
	if env.Clock == nil {
		env.Clock = clock.New()
	}
	dir := cmp.Or(c.Spool.Dir, env.Spool)
	s := &sink{
		env:         env,
		client:      client,
		staleOnExit: c.StaleOnExit,
		spoolDir:    dir,
		spoolOptions: spool.Options{
			Shards:    c.Connections,
			MaxBytes:  int64(c.Spool.MaxBytes),
			MaxMemory: min(int64(c.Spool.MaxBytes), maxMemory),
			MaxAge:    time.Duration(c.Spool.MaxAge),
			Clock:     env.Clock,
			Inbox:     destination(c),
			Log:       env.Log,
		},
		sender:  newSender(c, env, client),
		encoder: newEncoder(c, env, rules, env.Clock.Now()),
		resends: map[string]*resend{},
	}
	s.spoolOptions.Dropped = func(why spool.Reason, m spool.Meta) { s.sender.Drop(metric.Reason(why), m.Samples+m.Histograms) }
	if s.spoolDir != "" && !filepath.IsAbs(s.spoolDir) {
		s.spoolDir = filepath.Join(env.Dir, s.spoolDir)
	}
	env.Stats.TellPending(s.pending)
	if s.spoolDir != "" {
		env.Stats.TellSpool(s.spoolFault)
	}
	return s
}

func newEncoder(c *Config, env sinks.Env, rules []*prometheus.Config, now time.Time) *encode.Encoder {
	return encode.New(encode.Options{
		Target:     env.Target,
		External:   env.External,
		Relabel:    rules,
		Shards:     c.Connections,
		MaxSamples: c.Request.MaxSamples,
		MaxAge:     time.Duration(c.MaxSampleAge),
		Clock:      env.Clock,
		Dropped:    env.Stats.Drop,
	}, now)
}

func newSender(c *Config, env sinks.Env, client *httpclient.Client) *deliver.Sender {
	return deliver.New(deliver.Options{
		URL:      c.URL.String(),
		Place:    c.URL.Place(),
		Headers:  c.Headers,
		Timeout:  time.Duration(c.Timeout),
		HTTP:     client,
		Host:     env.Web,
		Protocol: wire.Protocol(c.Protocol),
		Shards:   c.Connections,
		MaxJoin:  c.Request.MaxSamples,
		Order:    spool.Order(c.Spool.Order),
		Refusals: deliver.Refusals(c.Refusals),
		MaxAge:   time.Duration(c.Spool.MaxAge),
		Durable:  cmp.Or(c.Spool.Dir, env.Spool) != "",
		Patient:  env.Once,
		Stats:    env.Stats,
		Log:      env.Log,
		Memory:   env.Memory,
	})
}

// open returns the queue. The first call opens it. New does not open the queue, since the sink that this one replaces may still use the
// spool.
func (s *sink) open() *spool.Queue {
	s.opening.Do(func() {
		q := spool.Open(s.spoolDir, s.spoolOptions)
		if len(s.inherited) > 0 {
			q.TakeOver(s.inherited)
			s.inherited = nil
		}
		s.queue.Store(q)
	})
	return s.queue.Load()
}

// Succeed implements sinks.Successor. The records that are only in memory go to this sink even if its URL differs, as those in the spool
// do: perhaps it is the correction of a wrong URL or login.
func (s *sink) Succeed(old sinks.Sink) {
	if before, ok := old.(*sink); ok {
		before.heir.Store(s)
		before.sender.HandOver()
	}
}

func (s *sink) pending() sinks.Pending {
	q := s.queue.Load()
	if q == nil {
		return sinks.Pending{}
	}
	p := q.Pending()
	return sinks.Pending{Samples: p.Samples, Bytes: p.Bytes, Limit: s.spoolOptions.MaxBytes, Oldest: p.Oldest}
}

// spoolFault returns why samples wait in memory although there is a spool.
func (s *sink) spoolFault() sinks.SpoolFault {
	q := s.queue.Load()
	if q == nil {
		return sinks.SpoolFault{}
	}
	if _, fault := q.Health(); fault.Err != nil {
		return sinks.SpoolFault{Since: fault.Since, Why: fault.Err.Error()}
	}
	return sinks.SpoolFault{}
}

// Describe implements sinks.Describer.
func (s *sink) Describe() []sinks.Fact {
	facts := []sinks.Fact{{Name: "protocol", Text: s.sender.Protocol()}}
	if s.spoolDir == "" {
		return append(facts, sinks.Fact{Name: "queue", Text: "in memory; what waits is lost when the agent stops (spool keeps it on disk)"})
	}
	facts = append(facts, sinks.Fact{Name: "queue", Text: "on disk in " + s.spoolDir})
	q := s.queue.Load()
	if q == nil {
		return facts
	}
	aside, fault := q.Health()
	if aside > 0 {
		facts = append(facts, sinks.Fact{Name: "set aside", Text: text.Count(aside, "damaged file") + "; see them with: cton spool"})
	}
	if fault.Err != nil {
		facts = append(facts, sinks.Fact{Name: "spool", Text: "fails since " + fault.Since.UTC().Format(time.RFC3339) + "; samples wait in memory: " + fault.Err.Error()})
	}
	return facts
}

// Write implements sinks.Sink. It queues the samples of a batch, and staleness markers for those series of the job's previous batch that
// are not in the new one. It waits for the disk.
func (s *sink) Write(_ context.Context, batch metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return sinks.Permanent(errors.New("queue samples for remote-write: the sink has ended"))
	}
	if r := s.resends[batch.Job]; r != nil {
		batch = r.before(batch)
		delete(s.resends, batch.Job)
	}
	s.put(&batch, false)
	if r := newResend(batch, s.env.Clock.Read()); r != nil {
		s.resends[batch.Job] = r
	}
	return nil
}

// Repeat implements sinks.Repeater. The batch of a slow job is still valid, and the earlier process may have sent it again with a later
// time. So the batch is sent with the current time.
func (s *sink) Repeat(_ context.Context, batch metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.env.Clock.Read()
	if r := newResend(batch, now); r != nil {
		batch.Time, r.last = now.Wall, now.Wall
		s.resends[batch.Job] = r
	}
	protocol, maxBytes := s.sender.Format()
	records := s.encoder.Repeat(&batch, encode.Format{Protocol: protocol, MaxBytes: maxBytes})
	for i := range records {
		records[i].Again = true
	}
	s.open().Put(records...)
	return nil
}

// forwardShare is the share of the queue's capacity up to which samples of another program are accepted. If more of the queue is in use,
// the other program must keep its samples and send them again after forwardPause.
const (
	forwardShare = 0.75
	forwardPause = 5 * time.Second
)

// Forward implements sinks.Forwarder. It waits for the disk.
func (s *sink) Forward(_ context.Context, stream metric.Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errors.New("queue samples for remote-write: the sink has ended")
	}
	most := s.spoolOptions.MaxBytes
	if s.spoolDir == "" {
		most = s.spoolOptions.MaxMemory
	}
	if held := s.open().Pending().Bytes; float64(held) > forwardShare*float64(most) {
		return sinks.After(fmt.Errorf("queue samples for remote-write: %d bytes are waiting already: the receiver does not answer, or not fast enough", held), forwardPause)
	}
	protocol, maxBytes := s.sender.Format()
	records := s.encoder.Forward(stream, encode.Format{Protocol: protocol, MaxBytes: maxBytes})
	s.warnOfName(protocol)
	if isDurable := s.open().Put(records...); !isDurable && s.spoolDir != "" {
		return errors.New("queue samples for remote-write: the spool cannot be written, so they wait in memory only, and are lost if the agent stops: check the spool's disk")
	}
	return nil
}

// put encodes a batch and puts the requests into the queue.
func (s *sink) put(batch *metric.Batch, resend bool) {
	protocol, maxBytes := s.sender.Format()
	records := s.encoder.Encode(batch, resend, encode.Format{Protocol: protocol, MaxBytes: maxBytes})
	s.warnOfName(protocol)
	s.open().Put(records...)
}

// warnOfName logs a warning, only once, if a name is not allowed in 1.0.
func (s *sink) warnOfName(protocol wire.Protocol) {
	if name := s.encoder.BeyondLegacy(); name != "" && protocol == wire.V1 && !s.warnedOfName {
		s.warnedOfName = true
		s.env.Log.Warn("remote-write 1.0 has no such names: they are sent as they are, which Prometheus 3 and VictoriaMetrics accept and older receivers drop; "+
			"rename them in the job or by write_relabel_configs if they do not arrive", "name", name)
	}
}

// Run implements sinks.Runner. It sends the queued requests until ctx is done, and then the remaining ones for at most Env.Drain. Requests
// that cannot be sent stay on disk for the next process. If the queue is in memory, they go to the sink that replaces this one, or are
// dropped.
func (s *sink) Run(ctx context.Context) error {
	queue := s.open()
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
	go s.runResends(ctx)
	s.sender.Run(life, ctx, queue)
	if s.staleOnExit && s.heir.Load() == nil && s.endSeries() { // an heir goes on with the series
		s.sender.Run(life, ctx, queue)
	}
	for s.env.Once && queue.AwaitTurn(life) {
		s.sender.Run(life, ctx, queue)
	}
	if n := queue.Given(); n > 0 {
		s.env.Log.Warn("requests wait in the spool: the process that sends from it has not delivered them yet", "requests", n)
	}
	return s.close()
}

// destination returns a text that identifies the receiver and the tenant: processes with the same destination send each other's samples.
// The tenant is a header, or the user of basic or digest authentication. References to secrets are compared, not the secrets themselves, so
// a password may change.
func destination(c *Config) string {
	users := []setting.Text{"", ""}
	if a := c.Web.BasicAuth; a != nil {
		users[0] = a.Username
	}
	if a := c.Web.DigestAuth; a != nil {
		users[1] = a.Username
	}
	sum := sha256.Sum256(fmt.Append(nil, c.URL.String(), users, c.Headers)) // maps are printed in the order of their keys
	return hex.EncodeToString(sum[:6])
}

// endSeries queues staleness markers for all series, and reports whether there were any series.
func (s *sink) endSeries() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	jobs := s.encoder.Jobs()
	for _, name := range jobs {
		s.put(&metric.Batch{Job: name, Time: s.env.Clock.Now()}, false)
	}
	clear(s.resends)
	return len(jobs) > 0
}

func (s *sink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	defer s.sender.End()
	heir := s.heir.Load()
	if heir == nil {
		return s.open().Close()
	}
	left, err := s.open().CloseAndTake()
	heir.inherited = left
	if len(left) > 0 {
		s.env.Log.Info("the sink has changed: the new one delivers what waits in memory", "requests", len(left))
	}
	if n := s.pending().Samples; n > 0 && s.spoolDir != heir.spoolDir {
		s.env.Log.Warn("samples wait in the former spool of the sink: they are sent once a sink has that spool", "spool", s.spoolDir, "samples", n)
	}
	return err
}

// Check implements sinks.Checker. It sends the receiver a request without samples, and checks that the spool can be used.
func (s *sink) Check(ctx context.Context) error {
	err := s.sender.Check(ctx)
	if s.spoolDir == "" {
		return err
	}
	unusable := spool.Check(s.spoolDir)
	if err != nil && unusable != nil {
		return fmt.Errorf("%w; %w", unusable, err)
	}
	return errors.Join(unusable, err)
}

// Prometheus looks back five minutes for the newest sample of a series, so the series of a job with an interval above slowFrom would have
// gaps. To avoid these gaps, the newest batch of such a job is sent again every resendInterval until the next batch.
const (
	slowFrom       = 4 * time.Minute
	resendInterval = time.Minute
	resendCheck    = 5 * time.Second
)

// resend is the last batch of a slow job.
type resend struct {
	batch metric.Batch
	due   time.Duration // when to send it again, as elapsed time (clock.Reading.Elapsed)
	last  time.Time     // when it was last sent again; zero = never
}

// newResend returns a resend of a batch, or nil if its job is not slow or has no series.
func newResend(b metric.Batch, now clock.Reading) *resend {
	if b.Every <= slowFrom || b.Series() == 0 {
		return nil
	}
	return &resend{batch: b, due: now.Elapsed + resendInterval}
}

// before returns the batch "next". If its time is not later than the time with which r was last sent, the returned batch gets a later time.
// This happens if the run of the batch started before r was sent.
func (r *resend) before(next metric.Batch) metric.Batch {
	if last := r.last.UnixMilli(); next.Time.UnixMilli() <= last { // samples have millisecond timestamps
		next.Time = time.UnixMilli(last + 1)
	}
	return next
}

// runResends sends the batches of slow jobs again, with the current time, until ctx is done.
func (s *sink) runResends(ctx context.Context) {
	ticker := time.NewTicker(resendCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if ctx.Err() == nil {
				s.resendDue(s.env.Clock.Read())
			}
		}
	}
}

func (s *sink) resendDue(now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for _, r := range s.resends {
		if now.Elapsed < r.due {
			continue
		}
		r.batch.Time, r.last, r.due = now.Wall, now.Wall, now.Elapsed+resendInterval
		s.put(&r.batch, true)
	}
}
