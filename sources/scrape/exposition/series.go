package exposition

import (
	"hash/maphash"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// series is one series in the readings: a number, or a histogram or summary that is assembled from several lines. It keeps its
// label set as long as a page has one of its lines.
type series struct {
	*description
	hash   uint64 // the key in Pool.series
	cache  *Cache
	labels *metric.LabelSet
	family *family // nil if nothing can be shown, or if each line is shown as a separate series

	first    *line  // first line of the list of its lines
	single   *line  // the line, if it is a number; nil for a histogram or summary
	parts    *parts // the lines, if it is a histogram or summary; nil for a number
	expected int32  // number of lines with a sample when the lines were last sorted
	changed  bool   // lines were added or removed since then
	isGauge  bool   // it is a metric about the scrape, which has no line
	split    bool   // a line had several points in the round "seen", so each line is shown as a separate series

	got  int32  // number of lines with a sample in the round "seen"
	seen uint32 // number of the last round in which the page had a line of the series
}

// description is what a page says about a series. Consecutive series of a family share it.
type description struct {
	name, help, unit string
	typ              metric.Type
	scraped          metric.Type // see metric.Desc
}

// share returns a pointer to a copy of d. If the description of the previous series is equal, both series share one copy.
func (p *Pool) share(d description) *description {
	if p.desc == nil || *p.desc != d {
		own := d
		own.name = strings.Clone(d.name) // the name may be part of the text of all labels, which would stay in memory
		p.desc = &own
	}
	return p.desc
}

// describe returns the description of the series with this identity. If there is no metadata, it takes help, unit and scraped type from the
// previous description, which is the argument "before".
func (id identity) describe(before *description, m *metadata) description {
	d := description{name: id.name, typ: id.typ}
	switch {
	case m != nil:
		d.help, d.unit = m.help, m.unit
		if d.typ == metric.Gauge {
			d.scraped = scrapedType(m.typ)
		}
	case before != nil:
		d.help, d.unit, d.scraped = before.help, before.unit, before.scraped
	}
	return d
}

// attach adds the line to its series, and creates the series if it does not exist. The line becomes a duplicate if another line of
// this round has the same role, or if the series belongs to another target or is a gauge.
func (c *Cache) attach(l *line, id identity, final labels.Labels) {
	p := c.pool
	x := c.series(id, l.family, final)
	other := x.lineOf(id, l)
	isReplaced := other != nil && other.seen != p.round
	if x.cache != c || x.isGauge || other != nil && !isReplaced {
		p.detach(l)
		l.duplicate = true
		if x.cache == c && !x.isGauge {
			l.needExtra().same = other
		}
		return
	}
	if l.series != x {
		p.detach(l)
		x.add(l)
	}
	if isReplaced {
		p.detach(other)
		other.duplicate = true // if it comes later on the page
	}
	l.series, l.role, l.bound, l.duplicate = x, id.role, id.bound, false
	x.description, x.changed = p.share(id.describe(x.description, l.family)), true
}

// detach removes the line from its series. A series without lines is removed from the pool.
func (p *Pool) detach(l *line) {
	if e := l.extra; e != nil {
		if e.own != nil {
			p.release(e.own.family)
		}
		e.own, e.same = nil, nil
	}
	x := l.series
	l.series, l.duplicate = nil, false
	if x == nil {
		return
	}
	x.changed = true
	if x.remove(l); x.first == nil {
		delete(p.series, x.hash)
		p.release(x.family)
		x.family = nil
	}
}

// series returns the series with this identity and these labels. It creates the series if it does not exist.
func (c *Cache) series(id identity, m *metadata, final labels.Labels) *series {
	p, bound := c.pool, ""
	if id.role == roleBucket {
		bound = boundLabel(id.typ)
	}
	p.labelText = appendLabels(p.labelText[:0], final, bound)
	hash := p.hash(id, p.labelText)
	for ; ; hash++ { // series with the same hash are stored under the next free hashes
		x := p.series[hash]
		if x == nil {
			x = &series{description: p.share(id.describe(nil, m)), hash: hash, cache: c, labels: metric.LabelSetOf(p.labelText)}
			p.series[hash] = x
			return x
		}
		if x.name == id.name && compositeType(x.typ) == compositeType(id.typ) && x.labels.Is(p.labelText) {
			return x
		}
	}
}

// hash returns the hash of a series. The argument "labels" is the encoding of its labels without the name.
func (p *Pool) hash(id identity, labels []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteByte(byte(compositeType(id.typ)))
	h.WriteString(id.name)
	h.WriteByte(0xff) // cannot occur in UTF-8, so it separates the texts
	h.Write(labels)
	return h.Sum64()
}

// lineOf returns a line other than l with this role and bound, or nil if there is none.
func (x *series) lineOf(id identity, l *line) *line {
	for other := x.first; other != nil; other = other.next {
		if other != l && other.role == id.role && other.bound == id.bound {
			return other
		}
	}
	return nil
}

func (x *series) add(l *line) {
	end := &x.first
	for *end != nil {
		end = &(*end).next
	}
	*end = l
}

func (x *series) remove(l *line) {
	at := &x.first
	for *at != l {
		at = &(*at).next
	}
	*at, l.next = l.next, nil
}

// assemble selects the series to pass on from those that the current page has.
func (c *Cache) assemble() {
	c.settlePoints()
	p, seen := c.pool, c.shown
	c.shown = c.shown[:0:0]
	if cap(c.spare) >= len(seen) {
		c.shown = c.spare[:0]
	}
	for _, x := range seen {
		if x.changed || x.got != x.expected {
			x.sortLines(p)
		}
		switch {
		case x.single != nil && x.single.updated == p.round:
			x.show()
		case x.single != nil || x.parts == nil:
		case x.typ == metric.Histogram, x.typ == metric.GaugeHistogram:
			x.showHistogram(p)
		case x.typ == metric.Summary:
			x.showSummary(p)
		}
	}
	c.spare = seen
}

// sortLines sorts the lines of this round by role, and finds the family of the resulting series.
func (x *series) sortLines(p *Pool) {
	before := x.parts
	x.single, x.parts, x.expected, x.changed = nil, nil, 0, false
	if isComposite(x.typ) {
		x.parts = &parts{}
		if before != nil {
			x.parts.buckets = before.buckets[:0]
		}
	}
	for l := x.first; l != nil; l = l.next {
		switch {
		case l.seen != p.round || l.role == roleCreated:
			continue
		case l.role == roleValue:
			x.single = l
		default:
			x.parts.add(l)
		}
		x.expected++
	}
	var next *family
	switch {
	case x.single != nil:
		next = p.acquire(familyKey{description: *x.description}, x.labels)
	case x.parts != nil && x.parts.check(x.typ):
		shape := x.parts.shape(&p.options, x.typ)
		next = p.acquire(familyKey{*x.description, shape}, x.labels)
	}
	p.release(x.family)
	x.family = next
}

func (x *series) show() { x.cache.shown = append(x.cache.shown, x) }

// reading returns the series as a reading of the round.
func (x *series) reading(round uint32) metric.Series {
	l := x.single
	if l == nil {
		return x.parts.reading
	}
	r := metric.Series{Labels: x.labels, Value: l.value, Time: l.time}
	if exemplars := l.exemplars(); len(exemplars) > 0 {
		r.More = &metric.More{Exemplars: exemplars}
	}
	if x.typ == metric.Counter {
		r.Start = x.start(round, l.start)
	}
	return r
}

// start returns the start timestamp of a series. That is "own", the start timestamp of the sample, unless it is 0; else the value of the
// _created line; else 0.
func (x *series) start(round uint32, own int64) int64 {
	if own != 0 {
		return own
	}
	for l := x.first; l != nil; l = l.next {
		if l.role == roleCreated && l.updated == round {
			return l.start
		}
	}
	return 0
}
