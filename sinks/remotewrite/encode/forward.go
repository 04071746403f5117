package encode

import (
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Forward returns the requests with the samples of another sender. The samples keep their order and their values, including staleness
// markers. External labels are added, and relabelling is done. Samples that are too old, or in the future, are left out and counted.
//
// The slice is valid until the next call. The payloads are not modified later.
func (e *Encoder) Forward(stream metric.Stream, f Format) []spool.Record {
	now := e.options.Clock.Read().Wall
	j := &job{options: &e.options, registry: e.registry, buffer: &e.samples, bounds: e.bounds(now)}
	e.requests.begin(f, wire.LabelsFirst, now)
	opened := make([]*series, 0, len(stream))
	for i := range stream {
		if x := j.forward(&stream[i], e.requests); x != nil {
			opened = append(opened, x)
		}
	}
	for reason, n := range j.dropped {
		e.options.Dropped(reason, n)
	}
	records := e.requests.finish()
	for _, x := range opened {
		x.wire.Forget()
	}
	return records
}

// forward writes the samples of one series of a stream. It returns the series, or nil if relabelling drops the series or if its labels are
// invalid.
func (j *job) forward(s *metric.StreamSeries, w *requestWriter) *series {
	j.scratch = sinks.Attach(j.scratch, s.Labels, nil, j.options.External)
	all := j.relabel(j.scratch)
	if len(all) == 0 {
		return nil
	}
	if !valid(all) {
		j.drop(metric.Invalid, len(s.Samples))
		return nil
	}
	family := s.Family
	if family == nil {
		family = &metric.Desc{}
	}
	x := &series{wire: j.registry.table.Series(all, family)}
	if j.registry.beyondLegacy == "" {
		j.registry.beyondLegacy = beyondLegacy(all)
	}
	g := &group{key: groupKey{desc: s.Family}, one: [1]*series{x}, shard: j.hash(all)}
	for _, p := range s.Samples {
		if reason := j.bounds.check(p.Time); reason != "" {
			j.drop(reason, 1)
			continue
		}
		j.buffer.reset(1)
		j.buffer.add(sample{time: p.Time, start: p.Start, value: p.Value}, extra{histogram: p.Histogram})
		w.addTogether(j.buffer, g, j.buffer.samples)
	}
	w.addExemplars(int(g.shard), x, s.Exemplars)
	return x
}
