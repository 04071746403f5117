package exposition

import (
	"hash/maphash"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// series is one series of the readings: a number, or a histogram or summary that is assembled from several lines. It keeps
// its label set for as long as a page has one of its lines.
type series struct {
	*description
	hash   uint64 // the key in Pool.series
	cache  *Cache
	labels *metric.LabelSet
	family *family // nil if nothing can be shown, or each line is shown by itself

	first    *line  // its lines are a list
	single   *line  // the line of a number; nil for a histogram or summary
	parts    *parts // nil for a number
	expected int32  // lines with a sample, when they were last sorted
	changed  bool   // since then
	isGauge  bool   // about the scrape, without a line
	split    bool   // a line of the round seen has several points, so each line is shown by itself

	got  int32  // lines with a sample in the round seen
	seen uint32 // the last round that had a line
}

// description is what a page says about a series. Series of one family follow each other in a page and share it.
type description struct {
	name, help, unit string
	typ              metric.Type
	scraped          metric.Type // as in metric.Desc
}

// share returns a shared copy of d.
func (p *Pool) share(d description) *description {
	if p.desc == nil || *p.desc != d {
		own := d
		own.name = strings.Clone(d.name) // it may be a part of the text of all labels
		p.desc = &own
	}
	return p.desc
}

// describe returns the description of the series of this identity. Without metadata, help and unit stay what they were.
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

// attach gives the line to its series, which is made if it is new. The line becomes a duplicate if another line of this round
// has that role, or if the series is another target's or a gauge.
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
		other.duplicate = true // if it follows
	}
	l.series, l.role, l.bound, l.duplicate = x, id.role, id.bound, false
	x.description, x.changed = p.share(id.describe(x.description, l.family)), true
}

// detach takes the line from its series. A series without lines is removed.
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

// series returns the series of this identity and these labels, and makes it if it is new.
func (c *Cache) series(id identity, m *metadata, final labels.Labels) *series {
	p, bound := c.pool, ""
	if id.role == roleBucket {
		bound = boundLabel(id.typ)
	}
	p.labelText = appendLabels(p.labelText[:0], final, bound)
	hash := p.hash(id, p.labelText)
	for ; ; hash++ { // series of one hash have the next ones
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

// hash returns the hash of a series, given its labels without the name.
func (p *Pool) hash(id identity, labels []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteByte(byte(compositeType(id.typ)))
	h.WriteString(id.name)
	h.WriteByte(0xff) // never part of UTF-8
	h.Write(labels)
	return h.Sum64()
}

// lineOf returns a line other than l that has this role, or nil.
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

// assemble turns the series that have a line in this round into those that are shown.
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

// sortLines sorts the lines of this round by role, and finds the family of what they make.
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

// start returns the start timestamp: that of the sample, else that of the _created line, else 0.
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
