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

// Compression finds what a series has in common with its neighbors of up to 64 KiB before. How the series of a job are best
// ordered depends on their labels: the metrics of one record have all labels in common but the name, and records that share
// labels of few values share most with each other. So the best of several orders is
// found by trial.

// order is an order of series: by the values of the first label, then of the second, and so on. A series that lacks the label
// comes first.
type order []string

// Bounds of a trial.
const (
	trialGroups    = 10_000 // whose labels are looked at
	trialSamples   = 4_000  // that are encoded in each order
	trialStretches = 4
)

// trial is what an order was found for.
type trial struct {
	groups   int
	protocol wire.Protocol
}

// sort sorts the batch's groups. Groups that send no series have no samples, and their place does not matter.
func (j *job) sort() {
	t := trial{groups: len(j.groups), protocol: j.buffer.protocol}
	s := sorter{table: j.registry.table, rows: make([]row, len(j.groups))}
	if j.order == nil || t.groups > 2*j.trial.groups || t.protocol != j.trial.protocol {
		j.order, j.trial = j.bestOrder(&s), t
	}
	j.sorted = s.sort(j.order, j.sorted, j.groups)
}

// bestOrder returns the order in which a part of the batch takes the fewest bytes.
func (j *job) bestOrder(s *sorter) (best order) {
	least := math.MaxInt
	for _, o := range j.orders() {
		j.sorted = s.sort(o, j.sorted, j.groups)
		if size := j.trialSize(j.sorted); size < least {
			best, least = o, size
		}
	}
	return best
}

// orders returns the orders that are tried: by label sets, and by the metrics' names first; in
// both, labels of few values before those of many, or in the order of their names.
func (j *job) orders() []order {
	values := j.labelValues()
	delete(values, model.MetricNameLabel)
	delete(values, model.BucketLabel) // of the parts of one group
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

// labelValues returns the labels of a part of the groups, spread over the batch, each with its values.
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

// trialSize returns how many bytes some samples take in this order, compressed: stretches that are spread over the batch.
func (j *job) trialSize(sorted []*group) int {
	b := j.buffer.trial
	b.Begin(j.buffer.protocol)
	for i := range trialStretches {
		for _, g := range sorted[i*len(sorted)/trialStretches:] {
			if b.Counts().Total() >= (i+1)*trialSamples/trialStretches {
				break
			}
			for _, s := range j.buffer.slice(g.samples) {
				s.write(b)
			}
		}
	}
	return len(snappy.Encode(nil, b.End().Raw))
}

// sorter sorts groups. It reuses its rows.
type sorter struct {
	table *wire.Table
	rows  []row // one for each group
}

// row is a group with its value of the label that is sorted by.
type row struct {
	group *group
	value wire.Symbol
}

// sort puts the groups into dst in an order.
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

// sortRows sorts the rows by the first label, and those of one value by the other labels.
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
