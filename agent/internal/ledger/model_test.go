package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// model is a simple and slow implementation of the ledger's rules. It keeps every observation and event, and works on a copy
// of everything, which it discards if the tick is refused.
type model struct {
	validFor  time.Duration
	maxSeries int
	metrics   map[*metric.Desc]*modelMetric
	last      int64
	sightings int
}

type modelMetric struct {
	series   []*modelSeries
	events   map[string]modelEvent
	measured time.Time
	timed    bool // readings of the tick have times of their own
}

type modelSeries struct {
	labels       []string
	raw          float64 // the upstream's last reading
	value        float64
	hidden       bool
	gone         bool // only its last time is remembered
	start, time  int64
	earlier      []metric.Point
	observations []observation
}

type modelEvent struct {
	at  int64
	nth int // number of the sighting
}

// modelResult is the expected result of a tick, with families by name.
type modelResult struct {
	families map[string]metric.Family
	readings int
	resets   int
	problems []string
	drops    map[string]int
}

func newModel(validFor time.Duration, maxSeries int) *model {
	return &model{validFor: validFor, maxSeries: maxSeries, metrics: map[*metric.Desc]*modelMetric{}}
}

func (m *model) copy() *model {
	c := *m
	c.metrics = map[*metric.Desc]*modelMetric{}
	for d, old := range m.metrics {
		x := &modelMetric{events: maps.Clone(old.events), measured: old.measured}
		for _, s := range old.series {
			y := *s
			y.observations, y.earlier = slices.Clone(s.observations), nil
			x.series = append(x.series, &y)
		}
		c.metrics[d] = x
	}
	return &c
}

// apply returns the state after a tick, and the result of the tick. The result is nil if the tick is refused.
func (m *model) apply(at time.Time, readings metric.Readings) (*model, *modelResult) {
	next := m.copy()
	r := &modelResult{families: map[string]metric.Family{}, drops: map[string]int{}}
	failed, measured := map[*metric.Desc]bool{}, map[*metric.Desc]bool{}
	for _, got := range readings {
		d := got.Desc
		measured[d] = true
		for _, drop := range got.Drops {
			r.drops[d.Name+" "+string(drop.Reason)] += drop.Count
		}
		if next.metrics[d] == nil {
			next.metrics[d] = &modelMetric{events: map[string]modelEvent{}}
		}
		if got.Err != nil || !next.measure(at, got, r) {
			failed[d] = true
			r.problems = append(r.problems, d.Name)
			if old := m.copy().metrics[d]; old != nil {
				next.metrics[d] = old
			} else {
				next.metrics[d] = &modelMetric{events: map[string]modelEvent{}}
			}
		}
	}
	held := 0
	for d, x := range next.metrics {
		if !measured[d] && !d.Accumulates() {
			x.end(d, at.UnixMilli(), nil)
		}
		if !measured[d] {
			x.forget(d, at.UnixMilli())
		}
		if !failed[d] || at.Sub(x.measured) < m.validFor {
			held += x.held()
		}
	}
	if held > m.maxSeries {
		return m.without(next, m.grown(next, measured, failed), at, readings)
	}
	if nothingLeft(readings, failed) {
		return m, nil
	}
	next.last = at.UnixMilli()
	for d, x := range next.metrics {
		if !failed[d] {
			x.measured = at
		}
		if at.Sub(x.measured) < m.validFor {
			if f := x.family(d, at.UnixMilli()); len(f.Series) > 0 {
				r.families[d.Name] = f
			}
		}
	}
	slices.Sort(r.problems)
	return next, r
}

// held returns the number of series that are not gone.
func (x *modelMetric) held() (n int) {
	for _, s := range x.series {
		if !s.gone {
			n++
		}
	}
	return n
}

// grown returns the metric that was measured and has gained most series, or nil if none has.
func (m *model) grown(next *model, measured, failed map[*metric.Desc]bool) (of *metric.Desc) {
	most := 0
	for d, x := range next.metrics {
		n := x.held()
		if old := m.metrics[d]; old != nil && (old.measured.UnixMilli() == m.last || time.UnixMilli(m.last).Sub(old.measured) < m.validFor) {
			n -= old.held()
		}
		if !measured[d] || failed[d] || n < most || n == 0 {
			continue
		}
		if n > most || next.loses(of) && !next.loses(d) || next.loses(of) == next.loses(d) && d.Name < of.Name {
			of, most = d, n
		}
	}
	return of
}

// loses returns true if readings are lost when the metric is left out.
func (m *model) loses(d *metric.Desc) bool { return d.Accumulates() || d.Delta || m.metrics[d].timed }

var errTooMany = errors.New("too many series")

// nothingLeft reports whether metrics were left out and no metric is measured.
func nothingLeft(readings metric.Readings, failed map[*metric.Desc]bool) bool {
	out, left := false, false
	for _, r := range readings {
		out = out || r.Err == errTooMany
		left = left || r.Err == nil && !failed[r.Desc]
	}
	return out && !left
}

// without applies a tick again without the metric d, because there are too many series. It refuses the tick if d is nil, if leaving d out
// would lose readings, or if there was no earlier tick to compare with.
func (m *model) without(next *model, d *metric.Desc, at time.Time, readings metric.Readings) (*model, *modelResult) {
	if d == nil || m.last == 0 || next.loses(d) {
		return m, nil
	}
	readings = slices.Clone(readings)
	for i := range readings {
		if readings[i].Desc == d {
			readings[i].Err = errTooMany
		}
	}
	return m.apply(at, readings)
}

// measure applies the readings of one metric and reports whether the metric was measured.
func (m *model) measure(at time.Time, got metric.Measured, r *modelResult) bool {
	d, x, now := got.Desc, m.metrics[got.Desc], at.UnixMilli()
	drops := map[metric.Reason]int{}
	shown := map[string]bool{}
	var rows []metric.Reading
	for _, row := range got.Rows {
		var reason metric.Reason
		switch {
		case math.IsNaN(row.Value), math.IsInf(row.Value, 0), d.Type == metric.Counter && row.Value < 0,
			(d.Type == metric.Histogram || d.Type == metric.Summary) && d.Delta && row.Value < 0:
			reason = metric.Invalid
		case row.Time > now+600_000:
			reason = metric.Future
		case d.Once && row.Event == "":
			reason = metric.Missing
		}
		if reason != "" {
			drops[reason]++
			continue
		}
		if d.Once {
			e, known := x.events[row.Event]
			counts := !shown[row.Event] && (!known || now-e.at > d.Remember.Milliseconds())
			if !shown[row.Event] {
				m.sightings++
				x.events[row.Event] = modelEvent{now, m.sightings}
			}
			shown[row.Event] = true
			if !counts {
				continue
			}
		}
		if d.FirstRun == metric.FirstSkip && x.measured.IsZero() {
			continue
		}
		rows = append(rows, row)
	}
	if len(shown) > d.MaxEvents && d.Once {
		return false
	}
	x.timed = points(d) && slices.ContainsFunc(rows, func(r metric.Reading) bool { return r.Time != 0 })
	rows, ok := combined(d, now, rows)
	if !ok {
		return false
	}
	dropped := drops[metric.Invalid] + drops[metric.Future] + drops[metric.Missing]
	dropped += m.take(d, x, now, rows, drops, r)
	r.readings += len(got.Rows) - dropped
	if early := x.forget(d, now); early > 0 {
		drops[metric.TooMany] += early
	}
	for reason, n := range drops {
		r.drops[d.Name+" "+string(reason)] += n
	}
	return true
}

// combined combines the readings of a series, or of a series and time if the metric has points. Readings that count by
// themselves are not combined. The result is sorted by series and time.
func combined(d *metric.Desc, now int64, rows []metric.Reading) ([]metric.Reading, bool) {
	if (d.Type == metric.Histogram || d.Type == metric.Summary) && !d.Delta || d.Type == metric.Counter && d.From == metric.Events {
		return rows, true
	}
	var order, series []string
	groups := map[string][]metric.Reading{}
	for _, row := range rows {
		key := fmt.Sprintf("%q", row.Labels)
		if !slices.Contains(series, key) {
			series = append(series, key)
		}
		if points(d) {
			key = fmt.Sprintf("%q at %d", row.Labels, cmp.Or(row.Time, now))
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], row)
	}
	var out []metric.Reading
	for _, key := range order {
		group := groups[key]
		row := group[0]
		latest := slices.MaxFunc(group, func(a, b metric.Reading) int { return cmp.Compare(a.Time, b.Time) }).Time
		if slices.ContainsFunc(group, func(a metric.Reading) bool { return a.Time == 0 }) {
			latest = 0
		}
		byValue := func(a, b metric.Reading) int { return cmp.Compare(a.Value, b.Value) }
		switch d.OnDuplicate {
		case metric.DuplicateError:
			if len(group) > 1 {
				return nil, false
			}
		case metric.DuplicateSum:
			row.Value, row.Time = 0, latest
			for _, one := range group {
				row.Value += one.Value
			}
		case metric.DuplicateLast:
			row = group[len(group)-1]
		case metric.DuplicateMax:
			row = slices.MaxFunc(group, byValue)
		case metric.DuplicateMin:
			row = slices.MinFunc(group, byValue)
		case metric.DuplicateCount:
			row.Value, row.Time = float64(len(group)), latest
		}
		row.Event = fmt.Sprint(len(group)) // the number of combined readings
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(a, b metric.Reading) int {
		place := func(r metric.Reading) int { return slices.Index(series, fmt.Sprintf("%q", r.Labels)) }
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(cmp.Or(a.Time, now), cmp.Or(b.Time, now)))
	})
	return out, true
}

// points returns true if a series keeps readings that have different times, each as a point of its own.
func points(d *metric.Desc) bool {
	return d.Type == metric.Gauge && !d.Delta && d.From == metric.Total || d.Type == metric.Counter && d.From == metric.Total
}

func addsOn(d *metric.Desc) bool {
	return d.Type == metric.Counter && d.From == metric.Total && d.OnDecrease == metric.DecreaseAdd
}

// end removes every series that got no reading. A series whose newest time is less than a day ago is kept, but counts as gone.
func (x *modelMetric) end(d *metric.Desc, now int64, seen map[*modelSeries]bool) {
	x.series = slices.DeleteFunc(x.series, func(s *modelSeries) bool {
		s.gone = !seen[s]
		return s.gone && !addsOn(d) && !(points(d) && s.time != 0 && now-s.time <= 24*3600_000)
	})
}

// take applies readings to the series. It adds the numbers of dropped readings to the argument "drops", by reason, and returns how many
// were dropped.
func (m *model) take(d *metric.Desc, x *modelMetric, now int64, rows []metric.Reading, drops map[metric.Reason]int, r *modelResult) int {
	dropped := 0
	seen, taken := map[*modelSeries]bool{}, map[*modelSeries]bool{}
	for _, row := range rows {
		i := slices.IndexFunc(x.series, func(s *modelSeries) bool { return slices.Equal(s.labels, row.Labels) })
		first := i < 0
		if first {
			x.series = append(x.series, &modelSeries{labels: slices.Clone(row.Labels), hidden: d.Delta && d.Type == metric.Gauge, time: row.Time})
			i = len(x.series) - 1
		}
		s := x.series[i]
		var n int
		fmt.Sscan(row.Event, &n)
		if points(d) && !first && !taken[s] && row.Time != 0 && s.time != 0 && row.Time <= s.time {
			drops[metric.NotNewer] += n
			dropped += n
			seen[s] = true
			continue
		}
		if s.gone && !taken[s] && !addsOn(d) {
			first, s.start = true, 0
		}
		before := metric.Point{Time: cmp.Or(s.time, now), Value: s.value, Start: s.start}
		switch {
		case d.Accumulates():
			if first && d.Type != metric.Gauge {
				s.start = now - 1
				if m.last != 0 && m.last < now {
					s.start = max(m.last, now-5*60_000)
				}
				if row.Time != 0 {
					s.start = min(s.start, row.Time-1)
				}
			}
			s.value += row.Value
			change := row.Value
			if d.Delta && row.Value >= s.raw {
				change -= s.raw
			} else if d.Delta && !first {
				r.resets++
			}
			if s.raw = row.Value; !d.Delta || !first {
				s.observations = append(s.observations, observation{now, change})
			}
			if row.Time == 0 || s.time == 0 {
				s.time = 0
			} else {
				s.time = max(s.time, row.Time)
			}
			continue
		case addsOn(d) && first:
			s.value = row.Value
		case addsOn(d) && row.Value < s.raw:
			s.value += row.Value
			r.resets++
		case addsOn(d):
			s.value += row.Value - s.raw
		case d.Type == metric.Counter && !first && row.Value < s.value:
			if d.OnDecrease == metric.DecreaseError {
				drops[metric.Decreased] += n
				dropped += n
				continue
			}
			if d.OnDecrease == metric.DecreaseReset {
				r.resets++
				s.value, s.start = row.Value, now-1
				if row.Time != 0 {
					s.start = min(s.start, row.Time-1)
				}
			}
		case d.Delta:
			s.hidden = first
			s.value = row.Value - s.raw
		default:
			s.value = row.Value
		}
		if taken[s] && points(d) {
			s.earlier = append(s.earlier, before)
		}
		s.raw, s.time = row.Value, row.Time
		seen[s], taken[s] = true, true
	}
	if !d.Accumulates() {
		x.end(d, now, seen)
	}
	return dropped
}

// forget removes old event IDs, and returns how many it had to remove early.
func (x *modelMetric) forget(d *metric.Desc, now int64) int {
	if !d.Once {
		return 0
	}
	maps.DeleteFunc(x.events, func(_ string, e modelEvent) bool { return now-e.at > d.Remember.Milliseconds() })
	early := max(0, len(x.events)-d.MaxEvents)
	for range early {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(x.events)), func(a, b string) int {
			return cmp.Compare(x.events[a].nth, x.events[b].nth)
		})
		delete(x.events, oldest)
	}
	return early
}

func (x *modelMetric) family(d *metric.Desc, now int64) metric.Family {
	f := metric.Family{Desc: d}
	for _, s := range x.series {
		if s.hidden || s.gone {
			continue
		}
		labels := slices.Clone(d.Const)
		for i, name := range d.LabelNames {
			if s.labels[i] != "" {
				labels = append(labels, metric.Label{Name: name, Value: s.labels[i]})
			}
		}
		slices.SortFunc(labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
		show := metric.Series{Labels: metric.NewLabelSet(labels), Value: s.value, Time: s.time, Start: s.start}
		if len(s.earlier) > 0 {
			if f.Earlier == nil {
				f.Earlier = map[*metric.LabelSet][]metric.Point{}
			}
			f.Earlier[show.Labels] = s.earlier
		}
		switch d.Type {
		case metric.Histogram:
			show.More = &metric.More{Histogram: histogramOf(d, s.observations)}
		case metric.Summary:
			show.More = &metric.More{Summary: summaryOf(d, s.observations, now)}
		}
		f.Series = append(f.Series, show)
	}
	return f
}

func histogramOf(d *metric.Desc, all []observation) *metric.HistogramValue {
	h := &metric.HistogramValue{}
	if len(d.Buckets) > 0 {
		h.Counts = make([]uint64, len(d.Buckets)+1)
	}
	for _, o := range all {
		h.Count++
		h.Sum += o.value
		for i := range h.Counts {
			if i == len(d.Buckets) || o.value <= d.Buckets[i] {
				h.Counts[i]++
				break
			}
		}
	}
	// Use the highest resolution that needs no more than the allowed number of buckets.
	for schema := int32(firstSchema); d.Native && (h.Native == nil || len(h.Native.Positive)+len(h.Native.Negative) > maxNative); schema-- {
		h.Native = nativeOf(schema, all)
	}
	return h
}

func nativeOf(schema int32, all []observation) *metric.NativeBuckets {
	n := &metric.NativeBuckets{Schema: schema, ZeroThreshold: zeroThreshold}
	positive, negative := map[int32]uint64{}, map[int32]uint64{}
	for _, o := range all {
		// The observations are not so close to a bound that rounding matters; on a bound, logarithms are exact.
		at := int32(math.Ceil(math.Log2(math.Abs(o.value)) * math.Exp2(float64(schema))))
		switch {
		case o.value == 0:
			n.ZeroCount++
		case o.value > 0:
			positive[at]++
		default:
			negative[at]++
		}
	}
	for _, i := range slices.Sorted(maps.Keys(positive)) {
		n.Positive = append(n.Positive, metric.NativeBucket{Index: i, Count: positive[i]})
	}
	for _, i := range slices.Sorted(maps.Keys(negative)) {
		n.Negative = append(n.Negative, metric.NativeBucket{Index: i, Count: negative[i]})
	}
	return n
}

func summaryOf(d *metric.Desc, all []observation, now int64) *metric.SummaryValue {
	s := &metric.SummaryValue{}
	var recent []float64
	for _, o := range all {
		s.Count++
		s.Sum += o.value
		if now-o.at < d.MaxAge.Milliseconds() {
			recent = append(recent, o.value)
		}
	}
	slices.Sort(recent)
	for _, q := range d.Quantiles {
		v := math.NaN()
		for i := len(recent) - 1; i >= 0 && float64(i+1) >= q*float64(len(recent)); i-- {
			v = recent[i]
		}
		s.Quantiles = append(s.Quantiles, v)
	}
	return s
}
