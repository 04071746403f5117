package ledger

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// Restore hands on the state of a snapshot, as Inherit does that of a ledger. On an error nothing has changed.
func (l *Ledger) Restore(snapshot []byte) error {
	r := &reader{s: string(snapshot)}
	last := r.int()
	heirs := map[string]*table{}
	for range r.count(4) {
		t, err := restoreTable(r)
		if err != nil {
			return err
		}
		if heirs[t.desc.Name] != nil {
			return fmt.Errorf("%q is there twice", t.desc.Name)
		}
		heirs[t.desc.Name] = t
	}
	if r.err == nil && len(r.s) > 0 {
		r.fail(fmt.Errorf("%d bytes follow its end", len(r.s)))
	}
	if r.err != nil {
		return r.err
	}
	l.heirs, l.last = heirs, last
	return nil
}

// restoreTable reads one metric. Its declaration has been checked when it was made, but what follows relies on it, and
// the bytes may come from anywhere.
func restoreTable(r *reader) (*table, error) {
	text := r.text()
	if r.err != nil {
		return nil, r.err
	}
	d, err := declared(text)
	if err != nil {
		return nil, fmt.Errorf("a metric's declaration: %w", err)
	}
	t := newTable(d)
	if !t.distinct() {
		r.fail(errors.New("its labels have no names of their own"))
	}
	if ns := r.int(); ns != 0 {
		t.measured = time.Unix(0, ns)
	}
	n := r.count(3)
	t.entries = make([]entry, 0, n)
	t.index(n)
	values := make([]string, len(d.LabelNames))
	for range n {
		t.restoreEntry(r, values)
	}
	if t.events != nil {
		t.events.restore(r)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%q: %w", d.Name, r.err)
	}
	return t, nil
}

func (t *table) restoreEntry(r *reader, values []string) {
	e := entry{known: true}
	r.bools(&e.hidden, &e.gone)
	for i := range values {
		values[i] = r.text()
	}
	e.time, e.start = r.int(), r.int()
	switch t.desc.Type {
	case metric.Histogram:
		e.observed = restoreHistogram(r, t.desc)
	case metric.Summary:
		e.observed = restoreSummary(r, t.desc)
	default:
		e.value, e.upstream = r.float(), r.float()
	}
	if r.err != nil {
		return
	}
	before := len(t.entries)
	at := t.find(values)
	if len(t.entries) == before {
		r.fail(errors.New("a series is there twice"))
		return
	}
	e.labels, e.hash = t.entries[at].labels, t.entries[at].hash
	t.entries[at] = e
}

func restoreHistogram(r *reader, d *metric.Desc) *observed {
	h := &metric.HistogramValue{Count: r.uint(), Sum: r.float()}
	if len(d.Buckets) > 0 {
		h.Counts = make([]uint64, len(d.Buckets)+1)
		for i := range h.Counts {
			h.Counts[i] = r.uint()
		}
	}
	o := &observed{histogram: h}
	if !d.Native {
		return o
	}
	o.native = newNative()
	schema := r.int()
	if schema < minSchema || schema > firstSchema {
		r.fail(fmt.Errorf("no native histogram has schema %d here", schema))
	}
	o.native.schema, o.native.zero = int32(schema), r.uint()
	for _, buckets := range []map[int32]uint64{o.native.positive, o.native.negative} {
		for range r.count(2) {
			i := int32(r.int())
			buckets[i] = r.uint()
		}
	}
	return o
}

func restoreSummary(r *reader, d *metric.Desc) *observed {
	s := &metric.SummaryValue{Count: r.uint(), Sum: r.float()}
	if len(d.Quantiles) > 0 {
		s.Quantiles = make([]float64, len(d.Quantiles))
	}
	for i := range s.Quantiles {
		s.Quantiles[i] = r.float()
	}
	o := &observed{summary: s}
	at := int64(0)
	for range r.count(9) {
		at += r.int()
		o.window = append(o.window, observation{at, r.float()})
	}
	return o
}

// restoreBlock is how many event ids share memory: fewer would cost time, more would keep it for long.
const restoreBlock = 256

func (e *events) restore(r *reader) {
	n := r.count(2)
	e.known = make(map[string]*sighting, n)
	at := int64(0)
	for ; n > 0 && r.err == nil; n -= restoreBlock {
		block, ends, from := make([]sighting, min(n, restoreBlock)), [restoreBlock]int{}, r.s
		for i := range block {
			block[i].id = r.text()
			ends[i] = len(from) - len(r.s)
			at += r.int()
			block[i].at = at
		}
		text := strings.Clone(from[:len(from)-len(r.s)])
		for i := range block {
			s := &block[i]
			s.id = text[ends[i]-len(s.id) : ends[i]]
			if e.known[s.id] != nil {
				r.fail(errors.New("an event id is there twice"))
				return
			}
			e.known[s.id] = s
			s.linkBefore(&e.ring)
		}
	}
}

// values are the label values of an entry, in the order of the declaration.
func (t *table) values(e *entry) []string {
	values := make([]string, len(t.desc.LabelNames))
	for i, name := range t.desc.LabelNames {
		values[i] = e.labels.Get(name)
	}
	return values
}
