package wire

import (
	"errors"
	"fmt"
	"iter"

	"github.com/collectington/collectington/agent/metric"
)

// Kind says what an item is.
type Kind uint8

// A series' message holds these.
const (
	Sample Kind = iota
	Histogram
	Exemplar
)

// Item is one sample, native histogram or exemplar of a request.
type Item struct {
	Kind   Kind
	Series int           // number of its series' message in the request, from 0
	Labels metric.Labels // of the series, the metric's name among them
	Family *metric.Desc  // name, type, help and unit of the family, as far as the request tells them

	Time, Start int64 // Unix milliseconds; a start of 0 is none
	Value       float64
	Histogram   *metric.HistogramValue // of a histogram, its native buckets
	Own         []metric.Label         // of an exemplar
}

// Decode gives a stored request with its counts, after a look at every byte of it: an error says that something else than
// a Builder has written it.
func Decode(p Protocol, raw []byte) (Request, error) {
	q := Request{Protocol: p, Raw: raw}
	series := -1
	for item, err := range q.Items() {
		if err != nil {
			return Request{}, err
		}
		if item.Series != series {
			series = item.Series
			q.Counts.Series++
		}
		switch item.Kind {
		case Sample:
			q.Counts.at(item.Time)
			q.Counts.Samples++
		case Histogram:
			q.Counts.at(item.Time)
			q.Counts.Histograms++
		case Exemplar:
			q.Counts.Exemplars++
		}
	}
	return q, nil
}

// Items goes over what the request holds, in order. An item is valid until the next; after an error there is none.
func (q Request) Items() iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		d := &decoder{protocol: q.Protocol, yield: func(i *Item) error {
			if !yield(i, nil) {
				return errEnough
			}
			return nil
		}}
		if err := d.request(q.Raw); err != nil && !errors.Is(err, errEnough) {
			yield(nil, fmt.Errorf("decode a remote-write request %s: %w", q.Protocol, err))
		}
	}
}

var errEnough = errors.New("no more items are wanted")

// decoder holds what is in hand, in memory that serves item after item.
type decoder struct {
	protocol Protocol
	yield    func(*Item) error

	symbols  []string                // of 2.0
	strings  map[string]string       // of 1.0: each once
	families map[string]*metric.Desc // of 1.0

	item      Item
	labels    metric.Labels
	family    metric.Desc // of 2.0
	histogram metric.HistogramValue
	native    metric.NativeBuckets
	positive  side
	negative  side
	room      int // bytes of labels that an item may still have
}

func (d *decoder) request(raw []byte) error {
	switch {
	case d.protocol != V1 && d.protocol != V2:
		return errors.New("there is no such protocol")
	case len(raw) > MaxRequest:
		return fmt.Errorf("it has more than %d bytes", MaxRequest)
	}
	if err := d.head(raw); err != nil {
		return err
	}
	d.item.Series = -1
	return each(raw, func(f field) error {
		if f.tag != series1<<3|message && f.tag != series2<<3|message {
			return nil
		}
		d.item.Series++
		if err := d.series(f.bytes); err != nil {
			return fmt.Errorf("series %d: %w", d.item.Series, err)
		}
		return nil
	})
}

// head reads what is not a series: the symbols of 2.0, the metadata of 1.0.
func (d *decoder) head(raw []byte) error {
	if d.protocol == V2 {
		return each(raw, func(f field) error {
			switch f.tag {
			case symbol2<<3 | message:
				d.symbols = append(d.symbols, string(f.bytes))
			case series2<<3 | message:
			default:
				return errUnknown
			}
			return nil
		})
	}
	d.strings, d.families = map[string]string{}, map[string]*metric.Desc{}
	return each(raw, func(f field) error {
		switch f.tag {
		case metadata1<<3 | message:
			return d.metadata1(f.bytes)
		case series1<<3 | message:
			return nil
		}
		return errUnknown
	})
}

// series reads a series' message: what it says of the series first, then its items.
func (d *decoder) series(raw []byte) error {
	d.labels, d.room = d.labels[:0], MaxSeriesText
	d.family = metric.Desc{}
	d.item.Family = &d.family
	native := false
	err := each(raw, func(f field) (err error) {
		switch {
		case f.tag == seriesLabels<<3|message:
			d.labels, err = d.someLabels(d.labels, f.bytes)
		case d.protocol == V2 && f.tag == metadata2<<3|message:
			err = d.metadata2(f.bytes)
		case d.protocol == V2 && f.tag == histogram2<<3|message:
			native = true
		}
		return err
	})
	if err != nil {
		return err
	}
	d.item.Labels = d.labels
	name := d.labels.Get("__name__")
	if d.protocol == V1 {
		d.item.Family = d.told(name)
	} else {
		d.family.Name = name
		if !native {
			d.family.Name = familyOf(name, d.family.Type)
		}
	}
	return each(raw, d.one)
}

// one reads a field of a series' message that may be an item.
func (d *decoder) one(f field) error {
	i := &d.item
	d.room = MaxSeriesText
	i.Kind, i.Time, i.Start, i.Value, i.Histogram, i.Own = Sample, 0, 0, 0, nil, i.Own[:0]
	var err error
	switch {
	case f.tag == seriesLabels<<3|message, d.protocol == V2 && f.tag == metadata2<<3|message:
		return nil
	case f.tag == seriesSample<<3|message:
		err = each(f.bytes, d.sample)
	case d.protocol == V1 && f.tag == histogram1<<3|message, d.protocol == V2 && f.tag == histogram2<<3|message:
		i.Kind = Histogram
		err = d.someHistogram(f.bytes)
	case d.protocol == V1 && f.tag == exemplar1<<3|message, d.protocol == V2 && f.tag == exemplar2<<3|message:
		i.Kind = Exemplar
		err = each(f.bytes, d.exemplar)
	default:
		err = errUnknown
	}
	if err != nil {
		return err
	}
	return d.yield(i)
}
