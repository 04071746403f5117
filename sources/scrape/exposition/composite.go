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

// isComposite reports whether a series of this type has several lines.
func isComposite(t metric.Type) bool {
	return t == metric.Histogram || t == metric.GaugeHistogram || t == metric.Summary
}

// compositeType returns t if a series of this type has several lines, and otherwise Unknown. A composite series and a series with a
// number are different series even if they have the same name.
func compositeType(t metric.Type) metric.Type {
	if isComposite(t) {
		return t
	}
	return metric.Unknown
}

// parts holds the lines of a histogram or summary by role, and the series that they make.
type parts struct {
	count, sum, native *line
	buckets            []*line // sorted by bound; in a summary, the quantiles
	isComplete         bool    // a summary or classic histogram has all its lines

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

// check sorts the buckets. It reports whether the lines make a histogram or summary.
func (p *parts) check(t metric.Type) bool {
	slices.SortFunc(p.buckets, func(a, b *line) int { return cmp.Compare(a.bound, b.bound) })
	n := len(p.buckets)
	p.isComplete = p.count != nil && p.sum != nil && (t == metric.Summary || n > 0 && math.IsInf(p.buckets[n-1].bound, 1))
	return p.isComplete || p.native != nil
}

// The last byte of the shape of a histogram with native buckets.
const (
	shapeNative = 'n' // a sink that can send native buckets sends them in place of the classic ones
	shapeBoth   = 'b' // a sink sends both
)

// shape encodes what all series of a family have in common in addition to name and type: the bounds of the buckets; whether there are
// native buckets, on the page or by conversion; and if so, whether the classic ones are also sent.
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

// isCurrent reports whether all lines are on the page in this round, with the same timestamp.
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

// isCount reports whether a number is a count that both uint64 and float64 can represent exactly.
func isCount(v float64) bool { return v >= 0 && v <= 1<<53 && v == math.Trunc(v) }

// showHistogram shows the histogram as native, classic, or both. If a classic histogram is not valid, its lines are shown as
// separate series.
func (x *series) showHistogram(pool *Pool) {
	p, o := x.parts, &pool.options
	v := &pool.histograms.alloc(1)[0]
	var of *line // the line with the timestamps of the histogram
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

// countConverted counts the samples of a histogram if convert_classic_histograms_to_nhcb is set. A histogram that can be converted
// is one sample; otherwise each line is one.
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

// exemplars appends the exemplars of the lines, and sets Exemplar.Sample.
func (p *parts) exemplars(all []metric.Exemplar) []metric.Exemplar {
	all = slices.Clip(all) // the memory behind it belongs to others
	add := func(l *line, sample int) {
		if l == nil {
			return
		}
		for _, e := range l.exemplars() {
			e.Sample = sample
			all = append(all, e)
		}
	}
	for i, l := range p.buckets {
		add(l, i+1)
	}
	add(p.sum, len(p.buckets)+1)
	add(p.count, len(p.buckets)+2)
	return all
}

// setCounts sets the count of each bucket. It reports false if the lines are not a valid classic histogram: a line is missing or
// has another timestamp, a count is not an integer, counts decrease, or +Inf and _count differ.
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

// showSummary shows the summary. If it is not valid, its lines are shown as separate series.
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

// showLines shows each line as a separate series of unknown type, so that the samples of an invalid histogram or summary are not
// lost.
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
