package wire

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// someLabels appends what a field of labels says: one of them in 1.0, all of them in 2.0.
func (d *decoder) someLabels(dst []metric.Label, raw []byte) ([]metric.Label, error) {
	var err error
	if d.protocol == V1 {
		var l metric.Label
		err = each(raw, func(f field) error {
			switch f.tag {
			case labelName<<3 | message:
				l.Name = d.text(f.bytes)
			case labelValue<<3 | message:
				l.Value = d.text(f.bytes)
			default:
				return errUnknown
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return d.add(dst, l)
	}
	for len(raw) > 0 {
		var l metric.Label
		if l.Name, raw, err = d.ref(raw); err != nil {
			return nil, err
		}
		if l.Value, raw, err = d.ref(raw); err != nil {
			return nil, err
		}
		if dst, err = d.add(dst, l); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (d *decoder) add(dst []metric.Label, l metric.Label) ([]metric.Label, error) {
	d.room -= len(l.Name) + len(l.Value)
	if d.room < 0 {
		return nil, fmt.Errorf("labels of more than %d bytes", MaxSeriesText)
	}
	return append(dst, l), nil
}

// text is a string of 1.0, which most often has been there before.
func (d *decoder) text(raw []byte) string {
	s, known := d.strings[string(raw)]
	if !known {
		s = string(raw)
		d.strings[s] = s
	}
	return s
}

// ref is a string of 2.0, by the number that raw begins with.
func (d *decoder) ref(raw []byte) (text string, rest []byte, err error) {
	number, n := protowire.ConsumeVarint(raw)
	if n < 0 {
		return "", nil, errors.New("labels that are cut off")
	}
	text, err = d.symbol(number)
	return text, raw[n:], err
}

func (d *decoder) symbol(number uint64) (string, error) {
	if number >= uint64(len(d.symbols)) {
		return "", fmt.Errorf("string %d of %d", number, len(d.symbols))
	}
	return d.symbols[number], nil
}

// metadata1 reads what a request of 1.0 says of a family.
func (d *decoder) metadata1(raw []byte) error {
	family := &metric.Desc{}
	err := each(raw, func(f field) (err error) {
		switch f.tag {
		case familyType<<3 | varint:
			family.Type, err = typeOf(f.uint)
		case familyName<<3 | message:
			family.Name = d.text(f.bytes)
		case familyHelp<<3 | message:
			family.Help = d.text(f.bytes)
		case familyUnit<<3 | message:
			family.Unit = d.text(f.bytes)
		default:
			err = errUnknown
		}
		return err
	})
	d.families[family.Name] = family
	return err
}

// metadata2 reads what a series of 2.0 says of its family.
func (d *decoder) metadata2(raw []byte) error {
	return each(raw, func(f field) (err error) {
		switch f.tag {
		case metadataType<<3 | varint:
			d.family.Type, err = typeOf(f.uint)
		case metadataHelp<<3 | varint:
			d.family.Help, err = d.symbol(f.uint)
		case metadataUnit<<3 | varint:
			d.family.Unit, err = d.symbol(f.uint)
		default:
			err = errUnknown
		}
		return err
	})
}

func typeOf(number uint64) (metric.Type, error) {
	for t := metric.Unknown; t <= metric.GaugeHistogram; t++ {
		if typeNumber(t) == number {
			return t, nil
		}
	}
	return 0, fmt.Errorf("metric type %d", number)
}

// told finds the family of a series of 1.0 among those that the request tells of.
func (d *decoder) told(name string) *metric.Desc {
	if family := d.families[name]; family != nil {
		return family
	}
	for _, t := range []metric.Type{metric.Histogram, metric.Summary} {
		if family := d.families[familyOf(name, t)]; family != nil && family.Type == t {
			return family
		}
	}
	d.family.Name = name
	return &d.family
}

// familyOf is the name of the family that has a series of this name, which is not a native histogram.
func familyOf(name string, t metric.Type) string {
	suffixes := []string{}
	switch {
	case t == metric.Histogram:
		suffixes = []string{"_bucket", "_sum", "_count"}
	case t == metric.Summary:
		suffixes = []string{"_sum", "_count"}
	}
	for _, suffix := range suffixes {
		if family, cut := strings.CutSuffix(name, suffix); cut {
			return family
		}
	}
	return name
}
