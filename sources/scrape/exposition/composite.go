package exposition

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/native"
)

// isComposite reports whether series of the type have several lines.
func isComposite(t metric.Type) bool {
	return t == metric.Histogram || t == metric.GaugeHistogram || t == metric.Summary
}

// compositeType returns the type of a composite series, which is not the series of a number of the same name. It returns
// Unknown for all types of numbers.
func compositeType(t metric.Type) metric.Type {
	if isComposite(t) {
		return t
	}
	return metric.Unknown
}

// parts are the lines of a histogram or summary by role, and what they make.
type parts struct {
	count, sum, native *line
	buckets            []*line // sorted by bound; of a summary, its quantiles
	isComplete         bool    // all lines of a summary or classic histogram are there

	reading metric.Series
}

func (p *parts) add(l *line) {
	switch l.role {
	case roleBucket:
		p.buckets = append(p.buckets, l)
	case roleCount:
		p.count = l
	case roleSum:
		p.sum = l
	case roleNative:
		p.native = l
	}
}

// check sorts the buckets and reports whether the lines make a histogram or summary.
func (p *parts) check(t metric.Type) bool {
	slices.SortFunc(p.buckets, func(a, b *line) int { return cmp.Compare(a.bound, b.bound) })
	n := len(p.buckets)
	p.isComplete = p.count != nil && p.sum != nil && (t == metric.Summary || n > 0 && math.IsInf(p.buckets[n-1].bound, 1))
	return p.isComplete || p.native != nil
}

// What follows the bounds in a shape.
const (
	shapeNative = 'n' // native buckets replace the classic ones where a sink can send them
	shapeBoth   = 'b' // both are sent
)

// shape encodes what the series of a family have in common apart from name and type: the bounds of the buckets, and whether
// there are native buckets, from the page or by conversion, and then whether the classic ones are sent too.
func (p *parts) shape(o *Options, t metric.Type) string {
	var b []byte
	if p.isComplete {
		for _, l := range p.buckets {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(l.bound))
		}
	}
	switch {
	case p.native == nil && (!o.ClassicToNHCB || t != metric.Histogram || len(b) == 0):
	case o.AlwaysClassic && len(b) > 0:
		b = append(b, shapeBoth)
	default:
		b = append(b, shapeNative)
	}
	return string(b)
}

// isCurrent reports whether the round has all lines, with one timestamp.
func (p *parts) isCurrent(round uint32) bool {
	current := func(l *line) bool { return l.updated == round && l.time == p.count.time }
	if !current(p.count) || !current(p.sum) {
		return false
	}
	for _, l := range p.buckets {
		if !current(l) {
			return false
		}
	}
	return true
}

// isCount reports whether the number is a count that an uint64 and a float64 hold exactly.
func isCount(v float64) bool { return v >= 0 && v <= 1<<53 && v == math.Trunc(v) }

// showHistogram shows the histogram: native, classic or both. A classic histogram that is not valid is shown line by line.
func (x *series) showHistogram(pool *Pool) {
	p, o := x.parts, &pool.options
	v := &pool.histograms.alloc(1)[0]
	var of *line // whose timestamps it has
	if n := p.native; n != nil && n.updated == pool.round && n.needExtra().histogram != nil {
		of, *v = n, *n.extra.histogram
	}
	isNative := of != nil
	isValid := p.isComplete && !x.split && x.setCounts(pool, v)
	if isValid && !isNative {
		of, v.Count, v.Sum = p.count, uint64(p.count.value), p.sum.value
		if o.ClassicToNHCB {
			v.Native = native.Custom(pool.describe(x.family).Buckets, v.Counts)
		}
	}
	if !isNative && o.ClassicToNHCB {
		x.countConverted(o, isValid)
	}
	if !isValid {
		x.showLines(pool)
	}
	if of == nil {
		return
	}
	m := &pool.mores.alloc(1)[0]
	m.Histogram = v
	if isNative {
		m.Exemplars = of.exemplars()
	}
	if isValid && (len(m.Exemplars) == 0 || o.AlwaysClassic) {
		m.Exemplars = p.exemplars(m.Exemplars)
	}
	p.reading = metric.Series{Labels: x.labels, More: m, Time: of.time, Start: x.start(pool.round, of.start)}
	x.show()
}

// countConverted counts the samples of a histogram for convert_classic_histograms_to_nhcb: one if it can be converted, else
// its lines.
func (x *series) countConverted(o *Options, isValid bool) {
	n := int(x.got)
	switch {
	case isValid && o.AlwaysClassic:
		n++
	case isValid:
		n = 1
	}
	x.cache.Scraped += n
	x.cache.Kept += n
}

// exemplars appends those of the lines to the slice, each with its place.
func (p *parts) exemplars(all []metric.Exemplar) []metric.Exemplar {
	add := func(l *line, sample int) {
		if l == nil {
			return
		}
		for _, e := range l.exemplars() {
			e.Sample = sample
			all = append(all[:len(all):len(all)], e)
		}
	}
	for i, l := range p.buckets {
		add(l, i+1)
	}
	add(p.sum, len(p.buckets)+1)
	add(p.count, len(p.buckets)+2)
	return all
}

// setCounts sets the count of each bucket by itself. It reports false if the lines are no valid classic histogram: a line is
// missing or has another timestamp, a count is no integer, counts decrease, or +Inf and _count differ.
func (x *series) setCounts(pool *Pool, v *metric.HistogramValue) bool {
	p := x.parts
	if !p.isCurrent(pool.round) || p.buckets[len(p.buckets)-1].value != p.count.value {
		return false
	}
	counts, before := pool.counts.alloc(len(p.buckets)), 0.0
	for i, l := range p.buckets {
		if !isCount(l.value) || l.value < before {
			return false
		}
		counts[i], before = uint64(l.value-before), l.value
	}
	v.Counts = counts
	return true
}

// showSummary shows the summary, or its lines if it is not valid.
func (x *series) showSummary(pool *Pool) {
	p := x.parts
	if !p.isComplete || x.split || !p.isCurrent(pool.round) || !isCount(p.count.value) {
		x.showLines(pool)
		return
	}
	v := &pool.summaries.alloc(1)[0]
	v.Count, v.Sum = uint64(p.count.value), p.sum.value
	v.Quantiles = pool.floats.alloc(len(p.buckets))
	for i, l := range p.buckets {
		v.Quantiles[i] = l.value
	}
	m := &pool.mores.alloc(1)[0]
	m.Summary, m.Exemplars = v, p.exemplars(nil)
	p.reading = metric.Series{Labels: x.labels, More: m, Time: p.count.time, Start: x.start(pool.round, p.count.start)}
	x.show()
}

// showLines shows each line as a number of unknown type, so that samples of an invalid histogram or summary are not lost.
func (x *series) showLines(pool *Pool) {
	for l := x.first; l != nil; l = l.next {
		if l.updated != pool.round || l.role == roleNative || l.role == roleCreated {
			continue
		}
		e := l.needExtra()
		if e.own == nil {
			e.own = x.seriesOfLine(pool, l)
		}
		e.own.show()
	}
}

func (x *series) seriesOfLine(pool *Pool, l *line) *series {
	own := &series{cache: x.cache, labels: x.labels, single: l}
	name := x.name + map[role]string{roleCount: "_count", roleSum: "_sum"}[l.role]
	if l.role == roleBucket {
		bound := metric.Label{Name: boundLabel(x.typ), Value: labels.FormatOpenMetricsFloat(l.bound)}
		set := x.labels.Append([]metric.Label{bound})
		slices.SortFunc(set, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
		own.labels = metric.NewLabelSet(set)
		if x.typ == metric.Histogram {
			name += "_bucket"
		}
	}
	own.description = pool.share(description{name: name, help: x.help})
	own.family = pool.acquire(familyKey{description: *own.description}, own.labels)
	return own
}
