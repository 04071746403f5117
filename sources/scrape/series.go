package scrape

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// series is one series as it is shown: a number, or a histogram or summary that is put together from several lines. It
// keeps its label set for as long as a line of it is there.
type series struct {
	key        string
	target     *target
	name       string
	help, unit string
	typ        metric.Type
	labels     *metric.LabelSet
	report     bool    // it is about the scrape, and so no line's
	family     *family // nil = it is not shown, or its lines are shown one by one

	members  []*entry
	changed  bool // since it was arranged
	expected int  // lines that give values, when it was arranged
	parts    parts

	seen  uint32 // the scrape that last had a line of it
	got   int    // lines of that scrape that give values
	ready metric.Series
}

// attach gives the line to the series that it is of, which is made if there is none.
func (r *reader) attach(e *entry, id identity, final labels.Labels) {
	own := ""
	if id.kind == bucket {
		own = boundLabel(id.typ)
	}
	r.key = appendKey(r.key[:0], id, final, own)
	to := r.series[string(r.key)]
	if to == nil {
		to = &series{key: string(r.key), target: r.t, name: id.name, labels: labelSet(final, own)}
		r.series[to.key] = to
	}
	at := slices.IndexFunc(to.members, func(o *entry) bool { return o != e && o.kind == id.kind && o.bound == id.bound })
	if at >= 0 && to.target == r.t && to.members[at].seen != r.scrape { // of a scrape before: this line takes its place
		o := to.members[at]
		to.members = append(to.members, e)
		r.detach(o)
		to.members = to.members[:len(to.members)-1]
		o.duplicate, at = true, -1 // should it still come
	}
	if to.target != r.t || at >= 0 || to.report {
		r.detach(e)
		e.duplicate = true
		return
	}
	if e.to != to {
		to.members = append(to.members, e)
		r.detach(e)
	}
	e.to, e.kind, e.bound, e.duplicate = to, id.kind, id.bound, false
	to.typ, to.changed = id.typ, true
	if e.meta != nil {
		to.help, to.unit = e.meta.help, e.meta.unit
	}
}

// appendKey makes text that no other series has. The parts of histograms and summaries lead to one key, which is not that
// of a number of the same name.
func appendKey(key []byte, id identity, final labels.Labels, without string) []byte {
	if boundLabel(id.typ) != "" && id.kind != number {
		key = append(key, byte(id.typ))
	}
	key = append(key, id.name...)
	final.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Name != without {
			key = append(key, 0xff) // never part of UTF-8
			key = append(key, l.Name...)
			key = append(key, 0xff)
			key = append(key, l.Value...)
		}
	})
	return key
}

// detach takes the line from its series, which goes with its last line.
func (s *source) detach(e *entry) {
	if e.alone != nil {
		s.release(e.alone.family)
		e.alone = nil
	}
	old := e.to
	e.to, e.duplicate = nil, false
	if old == nil {
		return
	}
	old.changed = true
	old.members = slices.DeleteFunc(old.members, func(o *entry) bool { return o == e })
	if len(old.members) == 0 {
		delete(s.series, old.key)
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
		case x.parts.number != nil:
			x.showNumber(s)
		case x.typ == metric.Histogram, x.typ == metric.GaugeHistogram:
			x.showHistogram(s)
		case x.typ == metric.Summary:
			x.showSummary(s)
		}
	}
	t.spare = shown
}

func (x *series) show() { x.target.shown = append(x.target.shown, x) }

func (x *series) showNumber(s *source) {
	e := x.parts.number
	if e.filled != s.scrape {
		return
	}
	x.ready = metric.Series{Labels: x.labels, Value: e.value, Time: e.time, Start: x.start(s, e.start), Exemplars: e.exemplars}
	x.show()
}

// start is when the series began: what its own line says, or one for it alone.
func (x *series) start(s *source, own int64) int64 {
	if c := x.parts.created; own == 0 && c != nil && c.filled == s.scrape {
		return c.start
	}
	return own
}
