package ledger

import (
	"slices"
	"time"
)

// Snapshot is the state after the last tick, or what was handed on before the first, as bytes that Restore understands.
// Nothing of the ledger is in them by reference.
func (l *Ledger) Snapshot() []byte {
	w := &writer{b: make([]byte, 0, l.snapshot+l.snapshot/8)}
	w.int(l.last)
	tables := slices.DeleteFunc(l.held(), func(t *table) bool { return meaningOf(t.desc) == "" })
	w.count(len(tables))
	for _, t := range tables {
		t.save(w)
	}
	l.snapshot = len(w.b)
	return w.b
}

func (t *table) save(w *writer) {
	w.text(meaningOf(t.desc))
	w.int(nanoseconds(t.measured))
	known := 0
	for i := range t.entries {
		if t.entries[i].known {
			known++
		}
	}
	w.count(known)
	for i := range t.entries {
		if e := &t.entries[i]; e.known {
			t.saveEntry(w, e)
		}
	}
	if t.events != nil {
		t.events.save(w)
	}
}

func (t *table) saveEntry(w *writer, e *entry) {
	w.bools(e.hidden, e.gone)
	for _, v := range t.values(e) {
		w.text(v)
	}
	w.int(e.time)
	w.int(e.start)
	switch {
	case e.observed == nil:
		w.float(e.value)
		w.float(e.upstream)
	case e.observed.histogram != nil:
		e.observed.saveHistogram(w)
	default:
		e.observed.saveSummary(w)
	}
}

func (o *observed) saveHistogram(w *writer) {
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

func (o *observed) saveSummary(w *writer) {
	s := o.summary
	w.uint(s.Count)
	w.float(s.Sum)
	for _, q := range s.Quantiles {
		w.float(q)
	}
	w.count(len(o.window))
	at := int64(0)
	for _, x := range o.window {
		w.int(x.at - at)
		w.float(x.value)
		at = x.at
	}
}

// save writes the ids, the longest unseen first.
func (e *events) save(w *writer) {
	w.count(len(e.known))
	at := int64(0)
	for s := e.ring.after; s != &e.ring; s = s.after {
		w.text(s.id)
		w.int(s.at - at)
		at = s.at
	}
}

// nanoseconds is a time as Unix nanoseconds, 0 for none.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
