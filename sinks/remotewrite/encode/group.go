package encode

import (
	"hash/fnv"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// groupKey identifies a family's series from batch to batch.
type groupKey struct {
	desc   *metric.Desc
	labels *metric.LabelSet
}

// group is the series that one series of a family is sent as: itself, or the parts of a histogram or summary.
type group struct {
	key     groupKey
	parts   []*series // nil = relabelling drops the part, or its labels are invalid
	invalid int32     // number of parts with invalid labels
	shard   int32
	batch   uint32 // number of the last batch that had it
	index   int32  // in that batch
	samples sampleRange
	ownTime int64 // timestamp of its last sample if the sample had its own, sent or not newer; else 0
}

// allocGroup allocates a group of n parts. Most groups have one, which is allocated with the group.
func allocGroup(n int) *group {
	if n != 1 {
		return &group{parts: make([]*series, n)}
	}
	g := &struct {
		group
		part [1]*series
	}{}
	g.parts = g.part[:]
	return &g.group
}

// sent returns how many parts are sent.
func (g *group) sent() (n int) {
	for _, p := range g.parts {
		if p != nil {
			n++
		}
	}
	return n
}

// first returns the first part that is sent, or nil.
func (g *group) first() *series {
	for _, p := range g.parts {
		if p != nil {
			return p
		}
	}
	return nil
}

// newGroup returns the group of a family's series with n parts.
func (j *job) newGroup(key groupKey, d *metric.Desc, s *metric.Series, n int) *group {
	j.own = s.Labels.Append(j.own[:0])
	g := allocGroup(n)
	g.key, g.shard = key, j.hash(j.target, j.own)
	for i := range n {
		all := j.relabel(j.labels(d, i, n))
		if len(all) == 0 {
			continue
		}
		if !valid(all) {
			g.invalid++
			continue
		}
		if len(j.options.Relabel) > 0 && g.first() == nil {
			g.shard = j.hash(all) // series that relabelling makes equal are in one shard
		}
		part := j.registry.open(all, d, j.batch)
		if part.ownTime && part.batch != j.batch {
			g.ownTime = part.last // the series existed before a reload
		}
		g.parts[i] = part
	}
	return g
}

// labels returns the labels of part i of n of the series whose labels are in j.own. A label of the series that collides
// with a label of the target is renamed exported_NAME. The result is valid until the next call.
func (j *job) labels(d *metric.Desc, i, n int) []metric.Label {
	name, own := part(d, i, n)
	j.added = append(j.added[:0], metric.Label{Name: "__name__", Value: name})
	if !d.Targeted {
		j.added = append(j.added, j.target...)
	}
	if own.Name != "" {
		j.added = append(j.added, own)
	}
	j.scratch = sinks.Attach(j.scratch, j.own, j.added, j.options.External)
	return j.scratch
}

// relabel returns labels after relabelling, or none if the series is dropped.
func (j *job) relabel(all []metric.Label) []metric.Label {
	if len(j.options.Relabel) == 0 {
		return all
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, l := range all {
		b.Set(l.Name, l.Value)
	}
	if !relabel.ProcessBuilder(b, j.options.Relabel...) {
		return nil
	}
	all = all[:0]
	b.Labels().Range(func(l labels.Label) { all = append(all, metric.Label{Name: l.Name, Value: l.Value}) })
	return all
}

// valid reports whether labels meet the demands of both specifications ("Labels"): a metric name, no empty or repeated
// label name, valid UTF-8. A receiver may reject a request of thousands of series for one that does not.
func valid(all []metric.Label) bool {
	named := false
	for i, l := range all {
		if l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) || i > 0 && l.Name == all[i-1].Name {
			return false
		}
		named = named || l.Name == "__name__" && l.Value != ""
	}
	return named
}

// hash returns the shard for lists of labels, without the metric's name: what has all other labels in common compresses best in one
// request. It is the same in every process.
func (j *job) hash(lists ...[]metric.Label) int32 {
	h := fnv.New32a()
	for _, list := range lists {
		for _, l := range list {
			if l.Name == model.MetricNameLabel {
				continue
			}
			j.text = append(append(j.text[:0], l.Name...), 0xff) // never part of UTF-8
			_, _ = h.Write(append(append(j.text, l.Value...), 0xff))
		}
	}
	return int32(h.Sum32() % uint32(j.options.Shards))
}
