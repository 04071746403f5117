package remotewrite

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// job is what is remembered of a job from batch to batch.
type job struct {
	target   []metric.Label
	external []metric.Label
	rules    []*relabel.Config
	shards   int
	batch    uint32 // number of the batch in hand
	again    bool   // it was written before
	bounds   bounds // of the times in it
	dropped  map[metric.Reason]int
	slow     slow

	units map[unitKey]*unit // of the batch before and the one in hand; nil where they came in the same order
	asked bool              // the batch in hand has asked for it

	now, before []*unit // of the batch in hand and of the one before, in their order
	next        int     // in before, behind the unit found last
	values      []float64
	own         []metric.Label // of the series at hand
	forced, all []metric.Label // of its part at hand: those that it must have, and all
	text        []byte

	sorted  []*unit // of the batch, in the order in which they compress best
	changed bool    // the batch in hand has a unit that the one before had not
}

// stretch is samples of a tick that lie together.
type stretch struct{ from, to int32 }

// stretch is the samples from here to the last.
func (t *tick) stretch(from int) stretch { return stretch{int32(from), int32(len(t.samples))} }

func (t *tick) of(s stretch) []sample { return t.samples[s.from:s.to] }

// tick is the samples of the batch in hand.
type tick struct {
	samples []sample
	more    []extra // what is not in the units' order, and comes last
}

// extra is samples of a unit that has others in the tick already, or that is gone.
type extra struct {
	unit *unit
	tick stretch
}

func newJob(target, external []metric.Label, rules []*relabel.Config, shards int) *job {
	return &job{target: target, external: external, rules: rules, shards: shards}
}

// take turns a batch into samples and tells how many more were left out, and why.
func (j *job) take(b *metric.Batch, again bool, bounds bounds, r *registry, t *tick) map[metric.Reason]int {
	j.batch++
	j.again, j.bounds, j.dropped = again, bounds, nil
	j.next, j.changed, j.asked = 0, false, false
	j.now, j.before = j.before[:0], j.now
	t.samples, t.more = slices.Grow(t.samples[:0], b.Samples()), t.more[:0]
	at := b.Time.UnixMilli()
	for i := range b.Families {
		f := &b.Families[i]
		for k := range f.Series {
			j.push(f, &f.Series[k], at, r, t)
		}
	}
	j.end(at, r, t)
	if j.changed || len(j.now) != len(j.sorted) {
		j.sort()
	}
	return j.dropped
}

// sort puts the batch's units in order. One without parts has nothing to say.
func (j *job) sort() {
	j.sorted = append(j.sorted[:0], j.now...)
	slices.SortStableFunc(j.sorted, func(a, b *unit) int {
		if x, y := a.first(), b.first(); x != nil && y != nil {
			return wire.Compare(&x.wire, &y.wire)
		}
		return a.sent() - b.sent()
	})
}

// pack makes requests of a tick's samples.
func (j *job) pack(t *tick, p *packer) {
	for _, u := range j.sorted {
		if u.tick.from < u.tick.to {
			p.add(int(u.shard), u.key.desc, t.of(u.tick))
		}
	}
	for _, x := range t.more {
		p.add(int(x.unit.shard), x.unit.key.desc, t.of(x.tick))
	}
}

// push takes one unit, with the points that come before its value. Each of them is taken whole or not at all.
func (j *job) push(f *metric.Family, s *metric.Series, at int64, r *registry, t *tick) {
	u, first := j.unit(f.Desc, s, r)
	for _, p := range u.parts {
		if p != nil {
			p.batch = j.batch
		}
	}
	if s.Time != 0 && (j.again || first && s.Time == u.told) {
		return // it speaks of its own time, which has been told
	}
	from := len(t.samples)
	for _, p := range f.Earlier[s.Labels] {
		j.point(u, &metric.Series{Value: p.Value, Time: p.Time, Start: p.Start}, p.Time, r, t)
	}
	j.point(u, s, cmp.Or(s.Time, at), r, t)
	if here := t.stretch(from); first {
		u.tick = here
	} else {
		t.more = append(t.more, extra{u, here})
	}
}

// point takes what a unit was at a time.
func (j *job) point(u *unit, s *metric.Series, time int64, r *registry, t *tick) {
	if u.invalid > 0 && !j.again {
		j.drop(metric.Invalid, int(u.invalid))
	}
	if reason := j.bounds.refuse(time); reason != "" {
		j.drop(reason, u.sent())
		return
	}
	u.told = s.Time
	if slices.ContainsFunc(u.parts, func(p *series) bool { return p != nil && p.last >= time }) {
		j.drop(sinks.NotNewer, u.sent())
		return
	}
	j.sample(u, s, time, r, t)
}

// sample appends a unit's samples.
func (j *job) sample(u *unit, s *metric.Series, time int64, r *registry, t *tick) {
	start := s.Start
	if start >= time {
		start = 0 // a total cannot have begun after its sample
	}
	d := u.key.desc
	j.values = appendValues(j.values[:0], d, s)
	for i, p := range u.parts {
		switch {
		case p == nil:
			continue
		case p.last >= time:
			j.drop(sinks.NotNewer, 1) // the rules make it one with a part before it
			continue
		}
		next := sample{series: p, time: time, value: j.values[i]}
		p.native = s.Histogram() != nil && s.Histogram().Native != nil
		if p.native {
			next.histogram = counted(s.Histogram())
		}
		if accumulates(d, i) {
			next.start = start
			if r.beginsAt(p, start, time) {
				t.samples = append(t.samples, next.zero())
			}
		}
		if len(s.Exemplars()) > 0 {
			next.exemplars = p.news(exemplarsOf(d, s, i))
		}
		t.samples = append(t.samples, next)
		p.last, p.begun, p.own = time, true, s.Time != 0
	}
}

func (j *job) drop(reason metric.Reason, samples int) {
	if j.dropped == nil {
		j.dropped = map[metric.Reason]int{}
	}
	j.dropped[reason] += samples
}

// unit finds the unit of a family's series, or makes it, and tells whether the batch has it for the first time.
func (j *job) unit(d *metric.Desc, s *metric.Series, r *registry) (u *unit, first bool) {
	key, n := unitKey{d, s.Labels}, partsOf(d, s)
	u = j.known(key)
	if u == nil || len(u.parts) != n || slices.ContainsFunc(u.parts, func(s *series) bool { return s != nil && s.closed }) {
		u = j.open(key, d, s, n, r)
		if j.units != nil {
			j.units[key] = u
		}
	}
	if u.batch == j.batch {
		return u, false
	}
	j.changed = j.changed || u.batch != j.batch-1
	u.batch, u.place, u.tick = j.batch, int32(len(j.now)), stretch{}
	j.now = append(j.now, u)
	return u, true
}

// known finds a unit that the batch before had, nil where there is none. Series keep their order from batch to batch, so
// it is most often the one behind the last one found.
func (j *job) known(key unitKey) *unit {
	if j.next < len(j.before) && j.before[j.next].key == key {
		j.next++
		return j.before[j.next-1]
	}
	if len(j.before) == 0 {
		return nil
	}
	j.asked = true
	if j.units == nil {
		j.units = make(map[unitKey]*unit, len(j.before))
		for _, u := range slices.Concat(j.before, j.now) {
			j.units[u.key] = u
		}
	}
	u := j.units[key]
	if u != nil && u.batch < j.batch {
		j.next = int(u.place) + 1
	}
	return u
}
