package wire

import (
	"fmt"

	"github.com/collectington/collectington/agent/metric"
)

// Rewrite returns a request of protocol p with items of q: those for which the function "keep" returns true, or all if "keep" is nil. The
// result shares no memory with q. It has metadata if q has metadata. A result in 1.0 has no start timestamps.
func (q Request) Rewrite(p Protocol, keep func(*Item) bool) (Request, error) {
	return Join(p, keep, q)
}

// Join returns a request of protocol p with the items of all requests, in their order. Like Rewrite, it takes only the items for which the
// function "keep" returns true, or all items if "keep" is nil. If several requests have the same series, the result has one message of that
// series for each of these requests.
func Join(p Protocol, keep func(*Item) bool, requests ...Request) (Request, error) {
	b := NewTable().NewBuilder()
	b.Begin(p)
	sent := families{}
	for _, q := range requests {
		if err := q.copyTo(b, sent, keep); err != nil {
			return Request{}, err
		}
	}
	return b.End(), nil
}

// copyTo adds the items to a builder. The argument "sent" is the set of families whose metadata was already added.
func (q Request) copyTo(b *Builder, sent families, keep func(*Item) bool) error {
	var s *Series
	number := -1 // Item.Series of the items that belong to s
	for i, err := range q.Items() {
		if err != nil {
			return err
		}
		if keep != nil && !keep(i) {
			continue
		}
		if i.Series != number {
			number, s = i.Series, new(b.symbols.table.Series(i.Labels, i.Family))
			if sent.add(i.Family) {
				b.AddMetadata(i.Family)
			}
		}
		b.add(s, i)
		if b.Size() > MaxRequest {
			return fmt.Errorf("rewrite a remote-write request %s: the result exceeds %d bytes", q.Protocol, MaxRequest)
		}
	}
	return nil
}

// families is a set of families, identified by their metadata.
type families map[metadata]bool

type metadata struct {
	name, help, unit string
	metricType       metric.Type
}

// add adds a family. It reports whether the family is new and has metadata.
func (f families) add(d *metric.Desc) bool {
	m := metadata{d.Name, d.Help, d.Unit, d.Type}
	if f[m] || m == (metadata{name: d.Name}) {
		return false
	}
	f[m] = true
	return true
}

// add adds an item of a series.
func (b *Builder) add(s *Series, i *Item) {
	switch i.Kind {
	case Sample:
		b.Add(s, i.Time, i.Value, i.Start)
	case Histogram:
		b.AddHistogram(s, i.Time, i.Histogram, i.Start)
	case Exemplar:
		b.AddExemplar(s, i.ExemplarLabels, i.Value, i.Time)
	}
}

// Split divides q into two requests with about the same number of items. If q has several series, it divides between two series. The series
// of one classic histogram may come into different requests. If q has fewer than two items, the second request is empty.
func (q Request) Split() (first, second Request, err error) {
	cut, err := q.middle()
	if err != nil {
		return first, second, err
	}
	half := func(want bool) (Request, error) {
		n := 0
		return q.Rewrite(q.Protocol, func(*Item) bool {
			n++
			return n <= cut == want
		})
	}
	if first, err = half(true); err == nil {
		second, err = half(false)
	}
	return first, second, err
}

// middle returns how many items Split puts into its first request.
func (q Request) middle() (int, error) {
	var borders []int
	n, series := 0, 0
	for i, err := range q.Items() {
		if err != nil {
			return 0, err
		}
		if i.Series != series && n > 0 {
			borders = append(borders, n)
		}
		series = i.Series
		n++
	}
	half := (n + 1) / 2
	best := half
	for k, border := range borders {
		if k == 0 || max(border-half, half-border) < max(best-half, half-best) {
			best = border
		}
	}
	return best, nil
}

// First returns the first series of q, such as {__name__="x",team="a"}. The result is "" if there is no series. It is for messages.
func (q Request) First() string {
	for i, err := range q.Items() {
		if err != nil {
			break
		}
		return i.Labels.String()
	}
	return ""
}
