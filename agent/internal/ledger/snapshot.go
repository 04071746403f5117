package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

func (w *writer) histogram(o *observed) {
	h := o.histogram
	w.uint(h.Count)
	w.float(h.Sum)
	for _, n := range h.Counts {
		w.uint(n)
	}
	if o.native == nil {
		return
	}
	w.int(int64(o.native.schema))
	w.uint(o.native.zero)
	for _, buckets := range []map[int32]uint64{o.native.positive, o.native.negative} {
		w.count(len(buckets))
		for _, b := range sorted(buckets) {
			w.int(int64(b.Index))
			w.uint(b.Count)
		}
	}
}

// events writes the event IDs with their times, those not seen for the longest time first.
func (w *writer) events(e *events) {
	w.count(len(e.known))
	at := int64(0)
	for s := e.ring.after; s != &e.ring; s = s.after {
		w.text(s.id)
		w.int(s.at - at)
		at = s.at
	}
}

// nanoseconds returns a time as Unix nanoseconds. It returns 0 for the zero time.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// version1 reads a snapshot of version 1, which earlier builds have written to files.
func (re *restoring) version1(snapshot []byte) (tables []*table, last int64, err error) {
	r := &reader{s: string(snapshot)}
	last = r.int()
	names := map[string]bool{}
	for range r.count(4) {
		t, err := r.table(re.sets, re.journal)
		if err != nil {
			return nil, 0, err
		}
		if names[t.desc.Name] {
			return nil, 0, fmt.Errorf("snapshot: the metric %q is in it twice", t.desc.Name)
		}
		names[t.desc.Name] = true
		tables = append(tables, t)
	}
	if r.err == nil && len(r.s) > 0 {
		r.fail(fmt.Errorf("it is damaged: %d bytes follow its end", len(r.s)))
	}
	return tables, last, r.err
}

// table reads one metric. The metric's declaration was checked when it was configured, but the bytes of the snapshot are perhaps damaged.
// So table checks again what the methods of a table rely on.
func (r *reader) table(sets *labelSets, j *journal) (*table, error) {
	text := r.text()
	if r.err != nil {
		return nil, r.err
	}
	d := &metric.Desc{}
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, fmt.Errorf("a metric's declaration: %w", err)
	}
	t := newTable(d, sets, j)
	if !t.distinct() {
		r.fail(errors.New("two labels have the same name"))
	}
	if ns := r.int(); ns != 0 {
		t.measured = time.Unix(0, ns)
	}
	n := r.count(3)
	t.entries = make([]entry, 0, n)
	t.index(n)
	values := make([]string, len(d.LabelNames))
	for range n {
		r.entry(t, values)
	}
	if t.events != nil {
		r.events(t.events)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%q: %w", d.Name, r.err)
	}
	return t, nil
}

// entry reads one series. The argument "values" is a buffer for the label values of the series.
func (r *reader) entry(t *table, values []string) {
	e := entry{known: true}
	r.bools(&e.hidden, &e.gone)
	r.labels(t, values)
	e.time, e.start = r.int(), r.int()
	switch t.desc.Type {
	case metric.Histogram:
		e.observed = r.histogram(t.desc)
	case metric.Summary:
		e.observed = r.summary(t.desc)
	default:
		e.value, e.upstream = r.float(), r.float()
	}
	if r.err != nil {
		return
	}
	before := len(t.entries)
	at := t.find(values)
	if len(t.entries) == before {
		r.fail(errors.New("a series is in it twice"))
		return
	}
	e.labels, e.hash = t.entries[at].labels, t.entries[at].hash
	t.entries[at] = e
}

func (r *reader) histogram(d *metric.Desc) *observed {
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
		r.fail(fmt.Errorf("a native histogram has schema %d, want %d to %d", schema, minSchema, firstSchema))
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

func (r *reader) summary(d *metric.Desc) *observed {
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

// idBlock is the number of restored event IDs that share one string. A smaller number makes more allocations. A larger number keeps more
// memory in use, because the string is freed only when all of its IDs are forgotten.
const idBlock = 256

func (r *reader) events(e *events) {
	n := r.count(2)
	e.known = make(map[string]*sighting, n)
	at := int64(0)
	for ; n > 0 && r.err == nil; n -= idBlock {
		block, ends, from := make([]sighting, min(n, idBlock)), [idBlock]int{}, r.s
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
				r.fail(errors.New("an event ID is in it twice"))
				return
			}
			e.known[s.id] = s
			s.linkBefore(&e.ring)
		}
	}
}

// writer appends values to a snapshot or record. Integers are written as varints, floats as eight bytes, strings as their
// length and their bytes.
type writer struct{ b []byte }

func (w *writer) uint(n uint64)   { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)     { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) float(f float64) { w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(f)) }
func (w *writer) text(s string)   { w.count(len(s)); w.b = append(w.b, s...) }
func (w *writer) count(n int)     { w.uint(uint64(n)) }

// bools writes up to eight booleans as one byte.
func (w *writer) bools(list ...bool) {
	flags := byte(0)
	for i, b := range list {
		if b {
			flags |= 1 << i
		}
	}
	w.b = append(w.b, flags)
}

// reader reads values from a snapshot or record. After an error its methods return zero values.
type reader struct {
	s   string // what has not been read yet
	err error
}

var errShort = errors.New("unexpected end of the snapshot")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.s = ""
}

// take returns the next n bytes. It fails if n is 0 or less: callers pass such a number after an incomplete varint.
func (r *reader) take(n int) (taken string) {
	if n <= 0 || n > len(r.s) {
		r.fail(errShort)
		return ""
	}
	taken, r.s = r.s[:n], r.s[n:]
	return taken
}

func (r *reader) head() []byte { return []byte(r.s[:min(len(r.s), binary.MaxVarintLen64)]) }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.head())
	r.take(n)
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.head())
	r.take(n)
	return v
}

func (r *reader) float() float64 {
	b := [8]byte{}
	copy(b[:], r.take(len(b)))
	return math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
}

// count returns the number of elements that follow, each of at least size bytes. It fails if the remaining bytes are too few
// for that number.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.s)/size) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// text returns a string that shares the memory of the snapshot.
func (r *reader) text() string {
	n := r.count(1)
	if n == 0 {
		return ""
	}
	return r.take(n)
}

func (r *reader) bools(list ...*bool) {
	flags := r.take(1)
	for i, b := range list {
		*b = flags != "" && flags[0]&(1<<i) != 0
	}
}
