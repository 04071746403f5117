// Package samples decodes remote-write requests of protocols 1.0 and 2.0 to streams.
//
// A series that no receiver could store is left out and reported; the other series of the request are not affected.
package samples

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources/native"
	"github.com/collectington/collectington/sources/receive/protobuf"
)

const (
	maxFields    = 2_000_000 // fields of a request; a field takes up to a hundred bytes of memory
	maxLabels    = 256       // labels of a series
	maxLabelSize = 64 << 10  // size of a series' labels in bytes; in 2.0, all labels can refer to one long string
)

// Request is a decoded request.
type Request struct {
	Stream     metric.Stream
	Samples    int // number of samples in Stream, without histograms
	Histograms int
	Exemplars  int

	Left  int   // number of samples and histograms that were left out
	First error // why the first of these was left out; nil if there are none
}

// Decode decodes an uncompressed request. An error means that nothing in the request can be used.
func (f *Families) Decode(raw []byte, isV2 bool) (*Request, error) {
	if _, ok := protobuf.Fits(raw, maxFields); !ok {
		return nil, fmt.Errorf("the request has more than %d fields", maxFields)
	}
	q, m := &Request{}, &message{}
	read, name := m.readV1, "prometheus.WriteRequest"
	if isV2 {
		read, name = m.readV2, "io.prometheus.write.v2.Request"
	}
	if err := read(raw); err != nil {
		return nil, fmt.Errorf("the request is not a valid %s, which is an error of the sender: %w", name, err)
	}
	if len(m.symbols) > 0 && m.symbols[0] != "" {
		return nil, fmt.Errorf("the request is not a valid %s, which is an error of the sender: the first symbol is not empty", name)
	}
	for _, known := range m.known {
		f.learn(metadata{known.name, known.typ, valid(known.help), valid(known.unit)})
	}
	q.Stream = make(metric.Stream, 0, len(m.series))
	for i := range m.series {
		if isV2 {
			q.addV2(f, &m.series[i], m.symbols)
		} else {
			q.addV1(f, &m.series[i])
		}
	}
	return q, nil
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// typeOf returns the type with this number. A type has the same number in both protocols.
func typeOf(number int32) metric.Type {
	types := []metric.Type{
		metric.Unknown, metric.Counter, metric.Gauge, metric.Histogram, metric.GaugeHistogram, metric.Summary, metric.Info, metric.StateSet,
	}
	if number < 0 || int(number) >= len(types) {
		return metric.Unknown
	}
	return types[number]
}

// leave counts n samples that are left out because of err.
func (q *Request) leave(n int, err error) {
	if n == 0 {
		return
	}
	if q.Left += n; q.First == nil {
		q.First = err
	}
}

func (q *Request) addV1(f *Families, s *series) {
	labels, err := sortLabels(s.labels)
	if err != nil {
		q.leave(len(s.samples)+len(s.histograms), err)
		return
	}
	out := metric.StreamSeries{Labels: labels, Family: f.ofSeries(metric.Labels(labels).Get(model.MetricNameLabel)), Samples: s.samples}
	q.add(&out, s)
}

func (q *Request) addV2(f *Families, s *series, symbols []string) {
	labels, err := resolve(s.refs, symbols)
	if err == nil {
		labels, err = sortLabels(labels)
	}
	if err == nil && (int(s.help) >= len(symbols) || int(s.unit) >= len(symbols)) {
		err = fmt.Errorf("series %s refers to symbols that the request does not have, which is an error of the sender", text.Cut(metric.Labels(labels).String(), 200))
	}
	if err != nil {
		q.leave(len(s.samples)+len(s.histograms), err)
		return
	}
	known := metadata{metric.Labels(labels).Get(model.MetricNameLabel), s.typ, valid(symbols[s.help]), valid(symbols[s.unit])}
	for i := range s.exemplars {
		e := &s.exemplars[i]
		if e.Labels, err = resolve(e.refs, symbols); err != nil {
			e.Labels = []metric.Label{{}} // not valid, so that the exemplar is left out
		}
	}
	q.add(&metric.StreamSeries{Labels: labels, Family: f.describe(known, len(s.histograms) > 0), Samples: s.samples}, s)
}

// resolve returns the labels for pairs of references to symbols.
func resolve(refs []uint32, symbols []string) ([]metric.Label, error) {
	if len(refs)%2 != 0 {
		return nil, errors.New("a series has a label name without a value")
	}
	labels := make([]metric.Label, 0, min(len(refs)/2, maxLabels+1))
	for i := 0; i < len(refs) && len(labels) <= maxLabels; i += 2 {
		if int(refs[i]) >= len(symbols) || int(refs[i+1]) >= len(symbols) {
			return nil, errors.New("a series refers to symbols that the request does not have")
		}
		labels = append(labels, metric.Label{Name: symbols[refs[i]], Value: symbols[refs[i+1]]})
	}
	return labels, nil
}

// sortLabels sorts labels and removes labels with empty values. The error says why no receiver would store the series.
func sortLabels(labels []metric.Label) ([]metric.Label, error) {
	labels = slices.DeleteFunc(labels, func(l metric.Label) bool { return l.Value == "" })
	slices.SortFunc(labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	size, name := 0, ""
	for i, l := range labels {
		size += len(l.Name) + len(l.Value)
		switch {
		case i == maxLabels || size > maxLabelSize:
			return nil, fmt.Errorf("a series has more than %d labels, or labels of more than %d bytes", maxLabels, maxLabelSize)
		case !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid():
			return nil, fmt.Errorf("a series has the label %.80q, which is not valid", l.Name)
		case i > 0 && l.Name == labels[i-1].Name:
			return nil, fmt.Errorf("a series has the label %.80q twice", l.Name)
		case l.Name == model.MetricNameLabel:
			name = l.Value
		}
	}
	if name == "" {
		return nil, fmt.Errorf("the series %s has no metric name", text.Cut(metric.Labels(labels).String(), 200))
	}
	return labels, nil
}

// add adds a series to the stream, with the histograms and exemplars of its message, and counts them.
func (q *Request) add(out *metric.StreamSeries, s *series) {
	q.Samples += len(out.Samples)
	for i := range s.histograms {
		h := &s.histograms[i]
		v, err := native.Value(h.values())
		if err != nil {
			q.leave(1, fmt.Errorf("series %s: %w", text.Cut(metric.Labels(out.Labels).String(), 200), err))
			continue
		}
		out.Samples = append(out.Samples, metric.StreamSample{Time: h.time, Start: h.start, Histogram: v})
		q.Histograms++
	}
	for i := range s.exemplars {
		if e := s.exemplars[i].Exemplar; areValid(e.Labels) {
			slices.SortFunc(e.Labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
			out.Exemplars = append(out.Exemplars, e)
		}
	}
	q.Exemplars += len(out.Exemplars)
	if len(out.Samples)+len(out.Exemplars) > 0 {
		q.Stream = append(q.Stream, *out)
	}
}

// areValid reports whether the labels of an exemplar are valid. As in Prometheus, an exemplar with invalid labels is left out
// without an error.
func areValid(labels []metric.Label) bool {
	return !slices.ContainsFunc(labels, func(l metric.Label) bool {
		return !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid()
	})
}
