package encode

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/golang/snappy"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Compression finds what a series has in common with other series within the preceding 64 KiB. Which order of a job's series is best
// depends on their labels. The metrics of one record differ only in their names. Two records have the most in common if they have the same
// values of those labels that have few different values. So several orders are tried, and the best one is used.

// order is an order of series: they are sorted by the value of the first label, then by the value of the second label, and so on. A series
// without the label comes before series with the label.
type order []string

// The limits of a trial.
const (
	trialGroups    = 10_000 // number of groups whose labels are looked at
	trialSamples   = 4_000  // number of samples that are encoded in each order
	trialStretches = 4      // number of sections of the batch that the samples are taken from
)

// trial describes the batch for which an order was determined.
type trial struct {
	groups   int
	protocol wire.Protocol
}

// sort sorts the groups of the batch. The position of groups that send no series does not matter, since they have no samples.
func (j *job) sort() {
	t := trial{groups: len(j.groups), protocol: j.buffer.protocol}
	s := sorter{table: j.registry.table, rows: make([]row, len(j.groups))}
	if j.order == nil || t.groups > 2*j.trial.groups || t.protocol != j.trial.protocol {
		j.order, j.layout = j.bestOrder(&s)
		j.trial = t
	}
	j.sorted = s.sort(j.order, j.sorted, j.groups)
}

// bestOrder returns the order and the layout that need the fewest bytes for a part of the batch.
func (j *job) bestOrder(s *sorter) (best order, layout wire.Layout) {
	least := math.MaxInt
	for _, o := range j.orders() {
		j.sorted = s.sort(o, j.sorted, j.groups)
		for _, l := range []wire.Layout{wire.LabelsFirst, wire.SamplesFirst} {
			if size := j.trialSize(j.sorted, l); size < least {
				best, layout, least = o, l, size
			}
			if j.buffer.protocol == wire.V1 {
				break // 1.0 has one layout
			}
		}
	}
	return best, layout
}

// orders returns the orders to try. The metric name is either the last label to sort by, or the first one. The other labels are sorted by
// their number of values, or by name.
func (j *job) orders() []order {
	values := j.labelValues()
	delete(values, model.MetricNameLabel)
	delete(values, model.BucketLabel) // le differs only within a group
	delete(values, model.QuantileLabel)
	written := order(slices.Sorted(maps.Keys(values)))
	few := slices.Clone(written)
	slices.SortStableFunc(few, func(a, b string) int { return cmp.Compare(len(values[a]), len(values[b])) })
	return []order{
		append(slices.Clip(few), model.MetricNameLabel),
		append(slices.Clip(written), model.MetricNameLabel),
		append(order{model.MetricNameLabel}, few...),
		append(order{model.MetricNameLabel}, written...),
	}
}

// labelValues returns the names of the labels with all their values, for a sample of groups from the whole batch.
func (j *job) labelValues() map[string]map[wire.Symbol]bool {
	values := map[string]map[wire.Symbol]bool{}
	n := min(len(j.groups), trialGroups)
	for i := range n {
		first := j.groups[i*len(j.groups)/n].first()
		if first == nil {
			continue
		}
		for name, value := range first.wire.Symbols() {
			text := j.registry.table.Text(name)
			if values[text] == nil {
				values[text] = map[wire.Symbol]bool{}
			}
			values[text][value] = true
		}
	}
	return values
}

// trialSize returns the compressed size of some samples in this order and layout, in bytes. The samples are from several sections of the batch.
func (j *job) trialSize(sorted []*group, l wire.Layout) int {
	b := j.buffer.trial
	b.Begin(j.buffer.protocol)
	b.SetLayout(l)
	for i := range trialStretches {
		for _, g := range sorted[i*len(sorted)/trialStretches:] {
			if b.Counts().Total() >= (i+1)*trialSamples/trialStretches {
				break
			}
			j.buffer.write(b, g, j.buffer.slice(g.samples))
		}
	}
	return len(snappy.Encode(nil, b.End().Raw))
}

// sorter sorts groups. Its rows are reused for each order.
type sorter struct {
	table *wire.Table
	rows  []row // one for each group
}

// row is a group, with the value of the label by which the groups are being sorted.
type row struct {
	group *group
	value wire.Symbol
}

// sort writes the groups to dst, sorted in the order o. The earlier contents of dst are overwritten.
func (s *sorter) sort(o order, dst, groups []*group) []*group {
	for i, g := range groups {
		s.rows[i].group = g
	}
	var labels []wire.Symbol
	for _, name := range o {
		if label, known := s.table.Symbol(name); known {
			labels = append(labels, label)
		}
	}
	s.sortRows(labels, s.rows)
	dst = dst[:0]
	for i := range s.rows {
		dst = append(dst, s.rows[i].group)
	}
	return dst
}

// sortRows sorts rows by the first label, and rows with the same value by the remaining labels.
func (s *sorter) sortRows(labels []wire.Symbol, rows []row) {
	if len(labels) == 0 || len(rows) < 2 {
		return
	}
	for i := range rows {
		rows[i].value = 0
		if first := rows[i].group.first(); first != nil {
			rows[i].value = first.wire.Value(labels[0])
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if a.value == b.value {
			return 0
		}
		return strings.Compare(s.table.Text(a.value), s.table.Text(b.value))
	})
	from := 0
	for i := range rows {
		if rows[i].value != rows[from].value {
			s.sortRows(labels[1:], rows[from:i])
			from = i
		}
	}
	s.sortRows(labels[1:], rows[from:])
}
