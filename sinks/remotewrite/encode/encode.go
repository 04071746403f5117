// Package encode turns batches into remote-write requests, which are the records of a sink's queue.
//
//	metric.Batch
//	     │   job: a series for each part of a family's series, staleness markers for the series that are gone
//	     ▼
//	 []sample        in an order that compresses well
//	     │   requestWriter: one request after another, for each shard
//	     ▼
//	[]spool.Record   compressed requests
//
// The only thing that the package knows about the receiver is the [Format] that the receiver accepts.
package encode

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Options are the settings of an Encoder.
type Options struct {
	// Target returns the labels that say where a job's series come from, such as job and instance.
	Target   func(job string) []metric.Label
	External []metric.Label // external labels, sorted by name; a label is not added to a series that has a label with the same name
	Relabel  []*relabel.Config

	Shards     int           // number of shards; all samples of a series are in the same shard
	MaxSamples int           // limit for a request; a histogram is not divided, so a request may exceed it by one histogram
	MaxAge     time.Duration // samples that are older are left out; 0 = no limit

	Clock *clock.Clock // nil = the clock of this machine

	// Dropped is called with the number of samples that were left out for the reason.
	Dropped func(reason metric.Reason, samples int)
}

// Format is what the receiver accepts at the moment.
type Format struct {
	Protocol wire.Protocol
	MaxBytes int // limit for the size of a request before compression
}

// Encoder encodes the batches of all jobs. It is not safe for concurrent use.
type Encoder struct {
	options  Options
	registry *registry
	jobs     map[string]*job
	shift    time.Duration // Reading.Shift of the last batch
	back     bool          // the clock has jumped back since the Encoder was made
	samples  sampleBuffer
	requests *requestWriter
}

// New returns an Encoder. An earlier process may have sent samples that are older than the time "now".
func New(o Options, now time.Time) *Encoder {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	r := newRegistry(now)
	requests := newRequestWriter(r.table, o.Shards, o.MaxSamples)
	return &Encoder{
		options: o, registry: r, jobs: map[string]*job{}, shift: o.Clock.Read().Shift, requests: requests,
		samples: sampleBuffer{trial: requests.builders[0]},
	}
}

// Encode returns the requests of a batch: its samples, and staleness markers for those series of the job's previous batch that are not in
// the new one. A batch without series ends all series of its job. If "resend" is true, the batch was encoded before with another time, and
// samples with their own timestamps are left out.
//
// The slice is valid until the next call. The payloads are not modified later.
func (e *Encoder) Encode(batch *metric.Batch, resend bool, f Format) []spool.Record {
	now := e.now(batch)
	j := e.job(batch.Job)
	e.samples.protocol = f.Protocol
	for reason, n := range j.collect(batch, resend, e.bounds(now)) {
		e.options.Dropped(reason, n)
	}
	e.requests.begin(f, j.layout, now)
	j.write(e.requests)
	e.registry.forget(batch.Time.UnixMilli())
	if len(j.groups) == 0 {
		delete(e.jobs, batch.Job)
	}
	return e.requests.finish()
}

// Repeat encodes the batch that was the newest one of its job before a restart. The receiver may already have the samples of this batch.
// The series of batch.Known were sent before the restart. They are remembered as if they had samples in this batch, and get no zero before
// their first sample. Other series can get such a zero. If the receiver already has the batch, it refuses these zeros, and the request is
// sent again without them.
func (e *Encoder) Repeat(batch *metric.Batch, f Format) []spool.Record {
	now := e.now(batch)
	j := e.job(batch.Job)
	e.samples.protocol = f.Protocol
	floor := e.registry.floor
	j.known, e.registry.floor = batch.Known, 0
	j.collect(batch, false, e.bounds(now)) // the result is ignored: dropped samples were counted before the restart
	j.known, e.registry.floor = nil, floor
	e.requests.begin(f, j.layout, now)
	j.write(e.requests)
	return e.requests.finish()
}

// now returns the time. If the clock has jumped back since the previous batch, this method moves back the last timestamps of all series by
// the same duration. The receiver then decides whether it accepts samples that are older than samples that it has. A batch from before the
// jump, whose time is in the future, gets the current time.
func (e *Encoder) now(batch *metric.Batch) time.Time {
	r := e.options.Clock.Read()
	by := r.Shift - e.shift
	e.shift = r.Shift
	if by < 0 {
		e.back = true
		e.registry.back(-by, r.Wall)
	}
	if e.back && batch.Time.After(r.Wall.Add(clock.Tolerance)) {
		batch.Time = r.Wall
	}
	return r.Wall
}

func (e *Encoder) job(name string) *job {
	j := e.jobs[name]
	if j == nil {
		j = &job{options: &e.options, target: e.options.Target(name), registry: e.registry, buffer: &e.samples}
		e.jobs[name] = j
	}
	return j
}

// BeyondLegacy returns the first name of a metric or label that has other characters than letters, digits, underscores and colons. If there
// is none, it returns "". The specification of 1.0 does not allow such a name; the specification of 2.0 does.
func (e *Encoder) BeyondLegacy() string { return e.registry.beyondLegacy }

// Jobs returns the names of the jobs that have series.
func (e *Encoder) Jobs() []string { return slices.Sorted(maps.Keys(e.jobs)) }

// maxAhead is how far in the future a sample may be. If a receiver stores such a sample, it rejects all later samples of the series until
// that time has come. Mimir rejects samples that are further ahead than creation_grace_period, which is 10 minutes by default.
const maxAhead = 10 * time.Minute

// bounds are the earliest and the latest timestamp that a sample may have, in Unix milliseconds.
type bounds struct{ first, last int64 }

func (e *Encoder) bounds(now time.Time) bounds {
	b := bounds{last: now.Add(maxAhead).UnixMilli()}
	if e.options.MaxAge > 0 {
		b.first = now.Add(-e.options.MaxAge).UnixMilli()
	}
	return b
}

// check returns the reason to leave out a sample with timestamp t, or "".
func (b bounds) check(t int64) metric.Reason {
	switch {
	case t > b.last:
		return metric.Future
	case t < b.first:
		return sinks.Past
	}
	return ""
}
