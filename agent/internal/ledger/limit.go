package ledger

import (
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// Excess is the error of a metric or a job that has more series than its maximum.
type Excess struct {
	error
	Same string // the error without the numbers of series, which change from run to run
}

// excess returns the error of a tick that is refused. The argument "named" says which metric is the cause. The argument "counts" says how
// many series this metric has.
func (l *Ledger) excess(series int, named, counts string) *Excess {
	return &Excess{
		fmt.Errorf("%d series are more than max_series (%d)%s%s: use labels with fewer values, or raise max_series", series, l.maxSeries, named, counts),
		fmt.Sprintf("more series than max_series (%d)%s", l.maxSeries, named),
	}
}

// leftOut returns the error of a metric that is left out. The argument "series" is the number of series that the job would have with the
// metric.
func (l *Ledger) leftOut(series int, g growth) *Excess {
	return &Excess{
		fmt.Errorf("left out: it grew most in this run (+%d, to %d series); the job would have %d series, max_series is %d: use labels with fewer values, or raise max_series", g.by, g.to, series, l.maxSeries),
		fmt.Sprintf("left out: it grew most, max_series is %d", l.maxSeries),
	}
}

// limit leaves out the metrics that have grown most in this tick, until the job has at most maxSeries series. It returns an
// error if this would lose readings, or if no metric would be measured any more. It also returns an error if no growth is
// known: in the first tick, and if the series are not in the ledger.
func (l *Ledger) limit(at time.Time, readings metric.Readings, r *Result) error {
	var most growth // the metric that had grown most when no metric was left out yet
	all := 0        // the number of series when no metric was left out yet
	for {
		n := l.series(at) + r.Series
		if n <= l.maxSeries && (most.of == nil || l.measures(readings)) {
			return nil
		}
		g := l.grown(at)
		if most.of == nil {
			most, all = g, n
		}
		switch {
		case l.last == 0 || most.of == nil:
			return l.excess(n, l.mostOf(at), "")
		case n <= l.maxSeries, g.of == nil, g.of.loses():
			return l.excess(all, fmt.Sprintf(", and %s grew most in this run", most.of.desc.Name), fmt.Sprintf(" (+%d, to %d series)", most.by, most.to))
		}
		g.of.rollback()
		g.of.failing = true
		r.Problems = append(r.Problems, Problem{g.of.desc.Name, l.leftOut(n, g)})
	}
}

// measures reports whether at least one of the metrics of the tick is measured.
func (l *Ledger) measures(readings metric.Readings) bool {
	for i := range readings {
		m := &readings[i]
		if m.Err == nil && (m.Series != nil || m.ByName || !l.tables[m.Desc].failing) {
			return true
		}
	}
	return false
}

// expired returns true if a metric that is failing shows no series at this time.
func (l *Ledger) expired(t *table, at time.Time) bool {
	return t.measured.IsZero() || !at.Before(l.validUntil(t.measured))
}

// series returns the number of series that there will be after the current tick.
func (l *Ledger) series(at time.Time) int {
	n := 0
	for _, t := range l.order {
		n += l.remaining(t, at)
	}
	return n
}

// remaining returns the number of series that a metric has after the current tick. Those that have expired do not count.
func (l *Ledger) remaining(t *table, at time.Time) int {
	if t.failing && l.expired(t, at) {
		return 0
	}
	return t.remaining(l.tick)
}

// lasting returns the number of series that a metric had after the last tick. Those that had expired do not count.
func (l *Ledger) lasting(t *table) int {
	if t.measured.UnixMilli() < l.last && l.expired(t, time.UnixMilli(l.last)) {
		return 0
	}
	return t.lasting()
}

// growth says by how many series a metric has grown in this tick, and how many series it has now.
type growth struct {
	of     *table // nil = no metric has grown
	by, to int
}

// grown returns the metric that has gained the most series in this tick. If several metrics have gained equally many, it prefers those
// that lose nothing if they are left out, and among these the first by name.
func (l *Ledger) grown(at time.Time) (most growth) {
	for _, t := range l.order {
		if t.failing {
			continue
		}
		to := l.remaining(t, at)
		if by := to - l.lasting(t); by > most.by || by == most.by && most.of != nil && before(t, most.of) {
			most = growth{t, by, to}
		}
	}
	return most
}

// before returns true if metric a is left out before metric b, if both have gained equally many series.
func before(a, b *table) bool {
	if a.loses() != b.loses() {
		return b.loses()
	}
	return a.desc.Name < b.desc.Name
}

// largest returns the table with most series, and their number.
func (l *Ledger) largest(at time.Time) (of *table, series int) {
	for _, t := range l.order {
		if n := l.remaining(t, at); n > series {
			of, series = t, n
		}
	}
	return of, series
}

// mostOf returns the name of the metric with most series, for an error; "" if all series are of one metric.
func (l *Ledger) mostOf(at time.Time) string {
	of, _ := l.largest(at)
	if len(l.order) < 2 || of == nil {
		return ""
	}
	return ", most of them of " + of.desc.Name
}

// A job gets a warning when its series reach nearFrom percent of max_series. The warning stays until they are fewer than nearUntil
// percent.
const (
	nearFrom  = 80
	nearUntil = 75
)

// warn adds a warning if the job is close to its maximum of series. The text does not contain the current number of series, so it
// is the same in each tick.
func (l *Ledger) warn(at time.Time, r *Result) {
	used := 100 * r.Series / l.maxSeries
	l.near = used >= nearFrom || l.near && used >= nearUntil
	of, _ := l.largest(at)
	if !l.near || of == nil || l.maxSeries < 10 {
		return
	}
	r.Warnings = append(r.Warnings, Warning{Metric: of.desc.Name, Limit: true, Text: fmt.Sprintf(
		"the job is close to max_series (%d), and this metric has most of its series: use labels with fewer values, or raise max_series", l.maxSeries)})
}
