package wire

import (
	"fmt"

	"github.com/collectington/collectington/agent/metric"
)

// Rewrite makes a request of protocol p of those items of q that are to be kept; nil keeps all. It gives the bytes memory
// of their own. Metadata goes with the series, as far as q has it; what 1.0 cannot say, start timestamps, is left out.
func (q Request) Rewrite(p Protocol, keep func(*Item) bool) (Request, error) {
	table := NewTable()
	b := table.NewBuilder()
	b.Begin(p)
	var s *Series
	number := -1 // of s in q
	told := families{}
	for i, err := range q.Items() {
		if err != nil {
			return Request{}, err
		}
		if keep != nil && !keep(i) {
			continue
		}
		if i.Series != number {
			number, s = i.Series, new(table.Series(i.Labels, i.Family))
			if told.news(i.Family) {
				b.AddMetadata(i.Family)
			}
		}
		b.add(s, i)
		if b.Size() > MaxRequest {
			return Request{}, fmt.Errorf("rewrite a remote-write request %s: it would have more than %d bytes", q.Protocol, MaxRequest)
		}
	}
	return b.End(), nil
}

// families are those that a request tells of.
type families map[metadata]bool

type metadata struct {
	name, help, unit string
	kind             metric.Type
}

// news tells whether there is something to say of a family that has not been said.
func (f families) news(d *metric.Desc) bool {
	m := metadata{d.Name, d.Help, d.Unit, d.Type}
	if f[m] || m == (metadata{name: d.Name}) {
		return false
	}
	f[m] = true
	return true
}

func (b *Builder) add(s *Series, i *Item) {
	switch i.Kind {
	case Sample:
		b.Add(s, i.Time, i.Value, i.Start)
	case Histogram:
		b.AddHistogram(s, i.Time, i.Histogram, i.Start)
	case Exemplar:
		b.AddExemplar(s, i.Own, i.Value, i.Time)
	}
}

// Split divides q into two requests of about as many items, between two series if it has several. So a family's histogram
// may be divided. The second is empty where q has a single item, or none.
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

// middle is how many items come before the place where q is best divided.
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

// First is the first series of q for messages: {__name__="x",team="a"}, or nothing where it has none.
func (q Request) First() string {
	for i, err := range q.Items() {
		if err != nil {
			break
		}
		return i.Labels.String()
	}
	return ""
}
