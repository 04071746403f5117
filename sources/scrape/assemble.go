package scrape

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// whole is a histogram or summary: its lines by what they are, and what they make.
type whole struct {
	count, sum, native *entry
	buckets            []*entry // by bound
	fit                bool     // there are all that a histogram or summary has

	ready metric.Series
}

// composite tells whether a series of this type is a whole.
func composite(t metric.Type) bool {
	return t == metric.Histogram || t == metric.GaugeHistogram || t == metric.Summary
}

// arrange sorts the lines that the scrape has of the series, and finds the family for what they make.
func (x *series) arrange(s *source) {
	was := x.whole
	x.number, x.whole, x.expected, x.changed = nil, nil, 0, false
	if composite(x.typ) {
		x.whole = &whole{}
		if was != nil {
			x.whole.buckets = was.buckets[:0]
		}
	}
	for e := x.first; e != nil; e = e.next {
		switch {
		case e.seen != s.scrape || e.kind == created:
			continue
		case e.kind == number:
			x.number = e
		default:
			x.whole.take(e)
		}
		x.expected++
	}
	var next *family
	switch {
	case x.number != nil:
		next = s.acquire(familyKey{about: *x.about}, x.labels)
	case x.whole != nil && x.whole.fits(x.typ):
		next = s.acquire(familyKey{*x.about, x.whole.shape(s.set.ClassicToNHCB && x.typ == metric.Histogram)}, x.labels)
	}
	s.release(x.family)
	x.family = next
}

// take sorts in a line.
func (p *whole) take(e *entry) {
	switch e.kind {
	case bucket:
		p.buckets = append(p.buckets, e)
	case count:
		p.count = e
	case sum:
		p.sum = e
	case native:
		p.native = e
	}
}

// fits tells whether the lines make anything, once all of them are there.
func (p *whole) fits(t metric.Type) bool {
	slices.SortFunc(p.buckets, func(a, b *entry) int { return cmp.Compare(a.bound, b.bound) })
	n := len(p.buckets)
	p.fit = p.count != nil && p.sum != nil && (t == metric.Summary || n > 0 && math.IsInf(p.buckets[n-1].bound, 1))
	return p.fit || p.native != nil
}

// shape is what the series of a family have in common beside name and type: the bounds of their buckets, and whether
// they have native ones, by themselves or because all get them.
func (p *whole) shape(all bool) string {
	var b []byte
	if p.fit {
		for _, e := range p.buckets {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(e.bound))
		}
	}
	if p.native != nil || all && len(b) > 0 {
		b = append(b, 'n')
	}
	return string(b)
}

func (x *series) showHistogram(s *source) {
	p := x.whole
	v := &s.values.some(1)[0]
	var e *entry
	if n := p.native; n != nil && n.filled == s.scrape && n.also().histogram != nil {
		e, *v = n, *n.more.histogram
	}
	whole := p.fit && x.classic(s, v)
	if whole && e == nil {
		e, v.Count, v.Sum = p.count, uint64(p.count.value), p.sum.value
		if s.set.ClassicToNHCB {
			v.Native = customBuckets(x.family.describe().Buckets, v.Counts)
		}
	}
	if !whole {
		x.showAlone(s)
	}
	if e == nil {
		return
	}
	m := &s.more.some(1)[0]
	*m = metric.More{Histogram: v, Exemplars: e.exemplars()}
	if len(m.Exemplars) == 0 {
		for _, b := range p.buckets {
			m.Exemplars = append(m.Exemplars, b.exemplars()...)
		}
	}
	p.ready = metric.Series{Labels: x.labels, More: m, Time: e.time, Start: x.start(s.scrape, e.start)}
	x.show()
}

// classic counts each bucket by itself, and is false where the lines do not say that: one is missing or has another time,
// a count is no whole number or less than the one before, or the last one is not the count of all.
func (x *series) classic(s *source, v *metric.HistogramValue) bool {
	p := x.whole
	if !agree(s.scrape, p) || p.buckets[len(p.buckets)-1].value != p.count.value {
		return false
	}
	counts, before := s.counts.some(len(p.buckets)), 0.0
	for i, b := range p.buckets {
		if !isCount(b.value) || b.value < before {
			return false
		}
		counts[i], before = uint64(b.value-before), b.value
	}
	v.Counts = counts
	return true
}

// isCount tells whether the number is a count that loses no digit.
func isCount(v float64) bool { return v >= 0 && v <= 1<<53 && v == math.Trunc(v) }

// agree tells whether all lines are there, of one time.
func agree(scrape uint32, p *whole) bool {
	of := func(e *entry) bool { return e.filled == scrape && e.time == p.count.time }
	if !of(p.count) || !of(p.sum) {
		return false
	}
	for _, b := range p.buckets {
		if !of(b) {
			return false
		}
	}
	return true
}

func (x *series) showSummary(s *source) {
	p := x.whole
	if !p.fit || !agree(s.scrape, p) || !isCount(p.count.value) {
		x.showAlone(s)
		return
	}
	v := &s.sums.some(1)[0]
	v.Count, v.Sum = uint64(p.count.value), p.sum.value
	v.Quantiles = s.floats.some(len(p.buckets))
	for i, b := range p.buckets {
		v.Quantiles[i] = b.value
	}
	m := &s.more.some(1)[0]
	m.Summary = v
	p.ready = metric.Series{Labels: x.labels, More: m, Time: p.count.time, Start: x.start(s.scrape, p.count.start)}
	x.show()
}

// showAlone shows the lines one by one as numbers, where they do not make a whole: what a target says is passed on also
// where it makes no sense.
func (x *series) showAlone(s *source) {
	for e := x.first; e != nil; e = e.next {
		if e.filled != s.scrape || e.kind == native || e.kind == created {
			continue
		}
		m := e.also()
		if m.alone == nil {
			m.alone = x.separate(s, e)
		}
		m.alone.show()
	}
}

func (x *series) separate(s *source, e *entry) *series {
	one := &series{target: x.target, labels: x.labels, number: e}
	name := x.name + map[kind]string{count: "_count", sum: "_sum"}[e.kind]
	if e.kind == bucket {
		own := metric.Label{Name: boundLabel(x.typ), Value: labels.FormatOpenMetricsFloat(e.bound)}
		set := x.labels.Append([]metric.Label{own})
		slices.SortFunc(set, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
		one.labels = metric.NewLabelSet(set)
		if x.typ == metric.Histogram {
			name += "_bucket"
		}
	}
	one.about = s.said(about{name: name, help: x.help})
	one.family = s.acquire(familyKey{about: *one.about}, one.labels)
	return one
}
