package exposition

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// points holds the second and later points of a series that has several lines with different timestamps on one page.
type points struct {
	all   []metric.Point // points of the current round; after the page was read, sorted and without the newest point
	shown []int64        // timestamps of the series on the last successful page on which it had several points
	round uint32         // the round in which that page was scraped
}

// addPoint adds a point of a series that is on the page for the second time. If there already is a point with the same time, the new point
// is dropped.
func (r *Reader) addPoint(l *line, text []byte, timestamp int64, value float64) {
	p := r.pool
	timestamp = ownTime(timestamp)
	if timestamp > p.now+maxFuture {
		p.drop(metric.Future, func() string { return fmt.Sprintf("%s at %d", printable(string(text)), timestamp) })
		return
	}
	e := l.needExtra()
	if e.points == nil {
		e.points = &points{}
	}
	all := &e.points.all
	if len(*all) == 0 {
		if e.points.round != r.cache.good {
			e.points.shown = e.points.shown[:0]
			if before := l.before(); before != 0 {
				e.points.shown = append(e.points.shown, before)
			}
		}
		r.cache.pointed = append(r.cache.pointed, l)
		l.series.split = true
	}
	if cmp.Or(l.time, p.now) == timestamp || slices.ContainsFunc(*all, func(x metric.Point) bool { return x.Time == timestamp }) {
		p.drop(metric.Duplicate, func() string { return fmt.Sprintf("%s at %d", printable(string(text)), timestamp) })
		return
	}
	*all = append(*all, metric.Point{Time: timestamp, Value: value})
	first := len(l.exemplars())
	r.takeExemplars(l)
	for i := range l.exemplars()[first:] {
		x := &l.extra.exemplars[first+i]
		x.Time = cmp.Or(x.Time, timestamp)
	}
}

// noOlder is the value of line.older if the line had no timestamp.
const noOlder = math.MinInt32

// setOlder stores the timestamp that the line had on the last successful page; 0 = none. It is stored as a difference in
// milliseconds, since that needs no additional memory in a line.
func (l *line) setOlder(before int64) {
	d := l.time - before
	if l.older = noOlder; before != 0 && d > noOlder && d <= math.MaxInt32 {
		l.older = int32(d)
	}
}

// before returns the timestamp that the line had on the last successful page, or 0 if it had none.
func (l *line) before() int64 {
	if l.older == noOlder {
		return 0
	}
	return l.time - int64(l.older)
}

// settlePoints makes the newest point of each line the line's value. It keeps only those older points that the previous page did not have,
// so that a sink gets each point once.
func (c *Cache) settlePoints() {
	for _, l := range c.pointed {
		p := l.extra.points
		p.all = append(p.all, metric.Point{Time: cmp.Or(l.time, c.pool.now), Value: l.value, Start: l.start})
		slices.SortFunc(p.all, func(a, b metric.Point) int { return cmp.Compare(a.Time, b.Time) })
		newest := p.all[len(p.all)-1]
		l.time, l.value = newest.Time, newest.Value
		before := slices.Clone(p.shown)
		p.shown = p.shown[:0]
		for _, x := range p.all {
			p.shown = append(p.shown, x.Time)
		}
		p.all = slices.DeleteFunc(p.all[:len(p.all)-1], func(x metric.Point) bool { return slices.Contains(before, x.Time) })
		p.round = c.pool.round
	}
}

// earlier returns the points of the series that are older than its value. The slice becomes part of a batch.
func (x *series) earlier(round uint32) []metric.Point {
	l := x.single
	if l == nil || l.extra == nil || l.extra.points == nil || l.extra.points.round != round {
		return nil
	}
	return slices.Clone(l.extra.points.all)
}

// ownTime returns the timestamp of a sample. It replaces 0 by 1, since 0 means that there is no timestamp.
func ownTime(timestamp int64) int64 {
	if timestamp == 0 {
		return 1
	}
	return timestamp
}
