package scrape

import (
	"hash/maphash"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// series is one series as it is shown: a number, or a histogram or summary that is put together from several lines. It
// keeps its label set for as long as a line of it is there.
type series struct {
	*about
	hash   uint64 // its place in source.series
	target *target
	labels *metric.LabelSet
	family *family // nil = it is not shown, or its lines are shown one by one

	first    *entry // its lines, each leading to the next
	number   *entry // the line that is all of it; nil of a histogram or summary
	whole    *whole // nil of a number
	expected int32  // lines that give values, when it was arranged
	changed  bool   // since it was arranged
	report   bool   // it is about the scrape, and so no line's

	got  int32  // lines of the last scrape that had one which give values
	seen uint32 // that scrape
}

// about is what is said of a series. The lines of a family follow each other, so that its series share it.
type about struct {
	name, help, unit string
	typ              metric.Type
}

// said is a as it is shared.
func (s *source) said(a about) *about {
	if s.about == nil || *s.about != a {
		own := a
		own.name = strings.Clone(a.name) // it may be a part of all the labels
		s.about = &own
	}
	return s.about
}

// attach gives the line to the series that it is of, which is made if there is none.
func (r *reader) attach(e *entry, id identity, final labels.Labels) {
	to := r.seriesOf(id, e.meta, final)
	other := to.line(e, id)
	was := other != nil && other.seen != r.scrape // of a scrape before: this line takes its place
	if to.target != r.t || to.report || other != nil && !was {
		r.detach(e)
		e.duplicate = true
		return
	}
	if e.to != to {
		r.detach(e)
		to.add(e)
	}
	if was {
		r.detach(other)
		other.duplicate = true // should it still come
	}
	e.to, e.kind, e.bound, e.duplicate = to, id.kind, id.bound, false
	to.about, to.changed = r.said(id.about(to.about, e.meta)), true
}

// about is what is now said of the series, of which it was said before.
func (id identity) about(before *about, m *meta) about {
	a := about{name: id.name, typ: id.typ}
	switch {
	case m != nil:
		a.help, a.unit = m.help, m.unit
	case before != nil:
		a.help, a.unit = before.help, before.unit
	}
	return a
}

// seriesOf finds the series that a line is of, or makes it. No two lines may give one series, of whatever target.
func (r *reader) seriesOf(id identity, m *meta, final labels.Labels) *series {
	own := ""
	if id.kind == bucket {
		own = boundLabel(id.typ)
	}
	r.text = appendLabels(r.text[:0], final, own)
	hash := r.hashOf(id, r.text)
	for ; ; hash++ { // two series of one hash
		to := r.series[hash]
		if to == nil {
			to = &series{about: r.said(id.about(nil, m)), hash: hash, target: r.t, labels: metric.LabelSetOf(r.text)}
			r.series[hash] = to
			return to
		}
		if to.name == id.name && wholeType(to.typ) == wholeType(id.typ) && to.labels.Is(r.text) {
			return to
		}
	}
}

// wholeType is the type of a whole, which is another series than a number of the same name; of all numbers, it is Unknown.
func wholeType(t metric.Type) metric.Type {
	if composite(t) {
		return t
	}
	return metric.Unknown
}

// hashOf is the hash of a series, given its labels without the name.
func (s *source) hashOf(id identity, labels []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteByte(byte(wholeType(id.typ)))
	h.WriteString(id.name)
	h.WriteByte(0xff) // never part of UTF-8
	h.Write(labels)
	return h.Sum64()
}

// line is another line that is the same of the series, nil where there is none.
func (x *series) line(of *entry, id identity) *entry {
	for e := x.first; e != nil; e = e.next {
		if e != of && e.kind == id.kind && e.bound == id.bound {
			return e
		}
	}
	return nil
}

func (x *series) add(e *entry) {
	end := &x.first
	for *end != nil {
		end = &(*end).next
	}
	*end = e
}

func (x *series) remove(e *entry) {
	at := &x.first
	for *at != e {
		at = &(*at).next
	}
	*at, e.next = e.next, nil
}

// detach takes the line from its series, which goes with its last line.
func (s *source) detach(e *entry) {
	if e.more != nil && e.more.alone != nil {
		s.release(e.more.alone.family)
		e.more.alone = nil
	}
	old := e.to
	e.to, e.duplicate = nil, false
	if old == nil {
		return
	}
	old.changed = true
	if old.remove(e); old.first == nil {
		delete(s.series, old.hash)
		s.release(old.family)
		old.family = nil
	}
}

// settle makes of the lines of a scrape what its series show.
func (t *target) settle(s *source) {
	shown := t.shown
	t.shown = t.shown[:0:0]
	if cap(t.spare) >= len(shown) {
		t.shown = t.spare[:0]
	}
	for _, x := range shown {
		if x.changed || x.got != x.expected {
			x.arrange(s)
		}
		switch {
		case x.number != nil && x.number.filled == s.scrape:
			x.show()
		case x.number != nil || x.whole == nil:
		case x.typ == metric.Histogram, x.typ == metric.GaugeHistogram:
			x.showHistogram(s)
		case x.typ == metric.Summary:
			x.showSummary(s)
		}
	}
	t.spare = shown
}

func (x *series) show() { x.target.shown = append(x.target.shown, x) }

// ready is what the series shows.
func (x *series) ready(scrape uint32) metric.Series {
	e := x.number
	if e == nil {
		return x.whole.ready
	}
	r := metric.Series{Labels: x.labels, Value: e.value, Time: e.time}
	if told := e.exemplars(); told != nil {
		r.More = &metric.More{Exemplars: told}
	}
	if x.typ == metric.Counter {
		r.Start = x.start(scrape, e.start)
	}
	return r
}

// start is when the series began: what its own line says, or one for it alone.
func (x *series) start(scrape uint32, own int64) int64 {
	if own != 0 {
		return own
	}
	for e := x.first; e != nil; e = e.next {
		if e.kind == created && e.filled == scrape {
			return e.start
		}
	}
	return 0
}
