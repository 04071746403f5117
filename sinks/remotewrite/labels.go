package remotewrite

import (
	"hash/fnv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// open makes the unit of a family's series of n parts.
func (j *job) open(key unitKey, d *metric.Desc, s *metric.Series, n int, r *registry) *unit {
	j.own = s.Labels.Append(j.own[:0])
	u := newUnit(n)
	u.key, u.shard = key, j.shard(d)
	for i := range n {
		all := j.relabelled(j.labels(d, i, n))
		if len(all) == 0 {
			continue
		}
		if !sendable(all) {
			u.invalid++
			continue
		}
		if len(j.rules) > 0 && u.first() == nil {
			u.shard = j.hash(all) // two series that the rules make one have one order
		}
		part := r.open(all, d, j.batch)
		if part.own && part.batch != j.batch {
			u.told = part.last // before a reload
		}
		u.parts[i] = part
	}
	return u
}

// sendable tells whether labels are what both specifications demand ("Labels"): a metric's name, no empty name, no name
// twice, all of it UTF-8. One series that is not can cost a request of thousands.
func sendable(all []metric.Label) bool {
	named := false
	for i, l := range all {
		if l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) || i > 0 && l.Name == all[i-1].Name {
			return false
		}
		named = named || l.Name == "__name__" && l.Value != ""
	}
	return named
}

// shard is who sends the series at hand of a family, the same in every run, whatever parts it has.
func (j *job) shard(d *metric.Desc) int32 {
	return j.hash(j.target, j.own, []metric.Label{{Name: d.Name}})
}

func (j *job) hash(lists ...[]metric.Label) int32 {
	h := fnv.New32a()
	for _, list := range lists {
		for _, l := range list {
			j.text = append(append(j.text[:0], l.Name...), 0xff) // never part of UTF-8
			_, _ = h.Write(append(append(j.text, l.Value...), 0xff))
		}
	}
	return int32(h.Sum32() % uint32(j.shards))
}

// labels are those of a part of the series at hand as they are pushed. A label of the series that is called like one that the part must have is
// kept as exported_NAME. They are valid until the next part's.
func (j *job) labels(d *metric.Desc, i, n int) []metric.Label {
	name, own := part(d, i, n)
	j.forced = append(j.forced[:0], metric.Label{Name: "__name__", Value: name})
	if !d.Targeted {
		j.forced = append(j.forced, j.target...)
	}
	if own.Name != "" {
		j.forced = append(j.forced, own)
	}
	j.all = sinks.Attach(j.all, j.own, j.forced, j.external)
	return j.all
}

// relabelled is a series' labels after the rules, none where it is not to be sent.
func (j *job) relabelled(all []metric.Label) []metric.Label {
	if len(j.rules) == 0 {
		return all
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, l := range all {
		b.Set(l.Name, l.Value)
	}
	if !relabel.ProcessBuilder(b, j.rules...) {
		return nil
	}
	all = all[:0]
	b.Labels().Range(func(l labels.Label) { all = append(all, metric.Label{Name: l.Name, Value: l.Value}) })
	return all
}
