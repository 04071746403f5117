package statuspage

import (
	"math"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// Limits of the past values that are kept.
const (
	maxFollowed = 200              // series of one job
	maxPoints   = 120              // values of one series
	pointEvery  = 30 * time.Second // minimum time between two values
)

// follow keeps past values of a job while a client views the job's page: the families of the last two runs, and the last hour of the
// series that were shown. The zero value is ready to use.
type follow struct {
	last, before []metric.Family     // families of the last run, and of the run before it
	series       map[seriesKey]*past // the series that were shown
	order        []seriesKey         // keys of series, in the order in which they were added
}

// seriesKey identifies a series of a job.
type seriesKey struct {
	metric string
	labels *metric.LabelSet
}

// past is the last hour of a series.
type past struct{ points ring[point] }

// point is a value at a time.
type point struct {
	At    int64 // Unix milliseconds
	Value float64
}

// tick adds the families of a run. If the argument "looked" is false, no client views the job's page, and tick discards everything.
func (f *follow) tick(families []metric.Family, at time.Time, looked bool) {
	if !looked {
		if f.last != nil || f.series != nil {
			*f = follow{}
		}
		return
	}
	f.before, f.last = f.last, families
	if len(f.series) == 0 {
		return
	}
	wanted := map[string]bool{}
	for key := range f.series {
		wanted[key.metric] = true
	}
	for i := range families {
		name := families[i].Desc.Name
		if !wanted[name] {
			continue
		}
		for k := range families[i].Series {
			s := &families[i].Series[k]
			if p := f.series[seriesKey{name, s.Labels}]; p != nil {
				p.add(at.UnixMilli(), valueOf(s))
			}
		}
	}
}

// add adds a value. If the job runs more often than pointEvery, only the last value of each such interval is kept.
func (p *past) add(at int64, value float64) {
	if p.points.len() > 1 && at-p.points.back(1).At < pointEvery.Milliseconds() {
		*p.points.back(0) = point{at, value}
		return
	}
	p.points.add(point{at, value}, maxPoints)
}

// shown returns the values of the last hour.
func (p *past) shown(now int64) []Point {
	var all []Point
	for one := range p.points.last(maxPoints) {
		if now-one.At <= time.Hour.Milliseconds() {
			all = append(all, Point{time.UnixMilli(one.At).UTC(), Number(one.Value)})
		}
	}
	return all
}

// show returns the past values of a series, and keeps its values from now on. At the maximum number of series, it forgets the series that
// was followed first.
func (f *follow) show(key seriesKey, now int64, value float64) []Point {
	if p := f.series[key]; p != nil {
		return p.shown(now)
	}
	if f.series == nil {
		f.series = map[seriesKey]*past{}
	}
	if len(f.order) >= maxFollowed {
		delete(f.series, f.order[0])
		f.order = f.order[1:]
	}
	f.order = append(f.order, key)
	p := &past{}
	p.add(now, value)
	f.series[key] = p
	return nil
}

// valueOf returns the value of a series as one number. For a histogram or summary this is the count of observations.
func valueOf(s *metric.Series) float64 {
	switch {
	case s.Histogram() != nil:
		h := s.Histogram()
		if h.Native != nil && h.Native.Fractions {
			return math.Float64frombits(h.Count)
		}
		return float64(h.Count)
	case s.Summary() != nil:
		return float64(s.Summary().Count)
	}
	return s.Value
}
