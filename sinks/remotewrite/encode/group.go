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

// groupKey identifies a family's series over several batches.
type groupKey struct {
	desc   *metric.Desc
	labels *metric.LabelSet
}

// group holds what one series of a family is sent as: a single series, or the parts of a histogram or summary.
type group struct {
	key     groupKey
	one     [1]*series // the part, if there is only one, as in most groups
	many    *[]*series // the parts otherwise
	invalid int32      // number of parts with invalid labels
	shard   int32
	batch   uint32 // number of the newest batch that contains the group
	index   int32  // index of the group in that batch
	samples sampleRange
	ownTime int64 // timestamp of the last sample, even if this sample was not newer and so not sent; 0 = that sample had no timestamp of its own
}

// allocGroup returns a group of n parts.
func allocGroup(n int) *group {
	g := &group{}
	if n != 1 {
		g.many = new(make([]*series, n))
	}
	return g
}

// parts returns the parts. A nil part is not sent: relabelling drops it, or its labels are invalid.
func (g *group) parts() []*series {
	if g.many != nil {
		return *g.many
	}
	return g.one[:]
}

// sent returns the number of parts that are sent.
func (g *group) sent() (n int) {
	for _, p := range g.parts() {
		if p != nil {
			n++
		}
	}
	return n
}

// first returns the first part that is sent, or nil.
func (g *group) first() *series {
	for _, p := range g.parts() {
		if p != nil {
			return p
		}
	}
	return nil
}

// newGroup returns a group for the series s of the family d. The group has n parts, one for each series on the wire.
func (j *job) newGroup(key groupKey, d *metric.Desc, s *metric.Series, n int) *group {
	j.own = s.Labels.Append(j.own[:0])
	g := allocGroup(n)
	g.key, g.shard = key, j.hash(j.target, j.own)
	parts := g.parts()
	for i := range parts {
		all := j.relabel(j.labels(d, i, n))
		if len(all) == 0 {
			continue
		}
		if !valid(all) {
			g.invalid++
			continue
		}
		if len(j.options.Relabel) > 0 && g.first() == nil {
			g.shard = j.hash(all) // so that series that relabelling makes equal are in the same shard
		}
		part := j.registry.open(all, d, j.batch)
		if part.ownTime && part.batch != j.batch {
			g.ownTime = part.last // the series existed before a configuration reload
		}
		parts[i] = part
	}
	return g
}

// labels returns the labels of part i of n parts. The labels of the series itself are in j.own. If the series and the target have a label
// with the same name, the label of the series is renamed to exported_NAME. The result is valid until the next call.
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

// relabel returns the labels after relabelling, or nil if relabelling drops the series.
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

// valid reports whether labels meet the demands of both specifications ("Labels"): a metric name, no empty or repeated label name, and
// valid UTF-8. A receiver can reject a request with thousands of series because a single series does not meet these demands.
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

// hash returns the shard for some labels. The name of the metric is ignored, so that series which differ only in the name are in the same
// request, where they compress best. The result is the same in every process.
func (j *job) hash(lists ...[]metric.Label) int32 {
	h := fnv.New32a()
	for _, list := range lists {
		for _, l := range list {
			if l.Name == model.MetricNameLabel {
				continue
			}
			j.text = append(append(j.text[:0], l.Name...), 0xff) // cannot occur in UTF-8, so it separates the texts
			_, _ = h.Write(append(append(j.text, l.Value...), 0xff))
		}
	}
	return int32(h.Sum32() % uint32(j.options.Shards))
}
