package remotewrite

import (
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// job is what is remembered of a job from batch to batch.
type job struct {
	target   []metric.Label
	external []metric.Label
	batch    uint64 // number of the batch in hand
	again    bool   // it was written before
	bounds   bounds // of the times in it
	dropped  map[metric.Reason]int
	slow     slow
	units    map[unitKey]*unit

	now, before []*unit // of the batch in hand and of the one before, in their order
	next        int     // in before, behind the unit found last
	values      []float64
}

// unitKey knows a family's series again from batch to batch.
type unitKey struct {
	desc   *metric.Desc
	labels *metric.LabelSet
}

// unit is a family's series as it is pushed: one series, or all the parts of a histogram or summary.
type unit struct {
	key   unitKey
	parts []*series
	batch uint64 // that had it last
	place int    // in that batch
}

func newJob(target, external []metric.Label) *job {
	return &job{target: target, external: external, units: map[unitKey]*unit{}}
}

// take turns a batch into samples and tells how many more were left out, and why.
func (j *job) take(b *metric.Batch, again bool, bounds bounds, r *registry, cut *cutter) map[metric.Reason]int {
	j.batch++
	j.again, j.bounds, j.dropped = again, bounds, nil
	j.next = 0
	j.now, j.before = j.before[:0], j.now
	at := b.Time.UnixMilli()
	cut.expect(partsIn(b))
	for i := range b.Families {
		f := &b.Families[i]
		for k := range f.Series {
			j.push(f.Desc, &f.Series[k], at, r, cut)
		}
	}
	j.end(at, r, cut)
	r.forget(at)
	return j.dropped
}

// push cuts one unit, whole or not at all.
func (j *job) push(d *metric.Desc, s *metric.Series, at int64, r *registry, cut *cutter) {
	u := j.unit(d, s, r)
	t := at
	if s.Time != 0 {
		t = s.Time
	}
	start := s.Start
	if start >= t {
		start = 0 // a total cannot have begun after its sample
	}
	newer := true
	for _, p := range u.parts {
		p.batch = j.batch
		newer = newer && p.last < t
	}
	switch reason := j.bounds.refuse(t); {
	case j.again && s.Time != 0:
		return // it speaks of its own time, which has been told
	case reason != "":
		j.drop(reason, len(u.parts))
		return
	case !newer:
		j.drop(sinks.NotNewer, len(u.parts))
		return
	}
	j.values = appendValues(j.values[:0], d, s)
	for i, p := range u.parts {
		next := sample{series: p, time: t, value: j.values[i]}
		p.native = s.Histogram != nil && s.Histogram.Native != nil
		if p.native {
			next.histogram = s.Histogram
		}
		if accumulates(d, i) {
			next.start = start
			if r.beginsAt(p, start, t) {
				cut.add(next.zero())
			}
		}
		cut.add(next)
		p.last, p.begun, p.own = t, true, s.Time != 0
	}
	cut.unit()
}

func (j *job) drop(reason metric.Reason, samples int) {
	if j.dropped == nil {
		j.dropped = map[metric.Reason]int{}
	}
	j.dropped[reason] += samples
}

// unit finds the unit of a family's series, or makes it.
func (j *job) unit(d *metric.Desc, s *metric.Series, r *registry) *unit {
	key, n := unitKey{d, s.Labels}, partsOf(d, s)
	u := j.known(key)
	if u == nil || len(u.parts) != n {
		u = &unit{key: key, parts: make([]*series, n)}
		for i := range n {
			u.parts[i] = r.open(j.labels(d, s.Labels, i, n), d, j.batch)
		}
		j.units[key] = u
	}
	if u.batch != j.batch {
		u.batch, u.place = j.batch, len(j.now)
		j.now = append(j.now, u)
	}
	return u
}

// known finds a unit that the batch before had, nil where there is none. Series keep their order from batch to batch, so
// it is most often the one behind the last one found.
func (j *job) known(key unitKey) *unit {
	if j.next < len(j.before) && j.before[j.next].key == key {
		j.next++
		return j.before[j.next-1]
	}
	u := j.units[key]
	if u != nil && u.batch < j.batch {
		j.next = u.place + 1
	}
	return u
}

// labels are a part's labels as they are pushed. A label of the series that is called like one that the part must have is
// kept as exported_NAME.
func (j *job) labels(d *metric.Desc, set *metric.LabelSet, i, n int) []metric.Label {
	name, own := part(d, i, n)
	target := []metric.Label{{Name: "__name__", Value: name}}
	if !d.Targeted {
		target = append(target, j.target...)
	}
	if own.Name != "" {
		target = append(target, own)
	}
	return sinks.Attach(set.Labels, target, j.external)
}

// partsIn is how many samples a batch will give, but for zeros and staleness markers.
func partsIn(b *metric.Batch) int {
	n := 0
	for i := range b.Families {
		if f := &b.Families[i]; len(f.Series) > 0 {
			n += len(f.Series) * partsOf(f.Desc, &f.Series[0])
		}
	}
	return n
}
