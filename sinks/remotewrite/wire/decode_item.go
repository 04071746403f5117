package wire

import "math"

func (d *decoder) sample(f field) error {
	switch f.tag {
	case sampleValue<<3 | fixed64:
		d.item.Value = math.Float64frombits(f.uint)
	case sampleTime<<3 | varint:
		d.item.Time = int64(f.uint)
	case sampleStart<<3 | varint:
		d.item.Start = int64(f.uint)
	default:
		return errUnknown
	}
	return nil
}

func (d *decoder) exemplar(f field) (err error) {
	switch f.tag {
	case exemplarLabels<<3 | message:
		d.item.Own, err = d.someLabels(d.item.Own, f.bytes)
	case exemplarValue<<3 | fixed64:
		d.item.Value = math.Float64frombits(f.uint)
	case exemplarTime<<3 | varint:
		d.item.Time = int64(f.uint)
	default:
		err = errUnknown
	}
	return err
}
