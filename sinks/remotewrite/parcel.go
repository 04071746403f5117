package remotewrite

import (
	"fmt"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// parcel is a record, or a part of one, as it is sent.
type parcel struct {
	protocol Protocol
	packed   []byte // never changed: the transport may go on reading it
	holds    written

	born   int64 // requests that had been accepted when it was made
	errors int   // how often it was answered with 500
	first  int64 // requests that had been accepted by the first time
}

// written counts samples in the way the specification does: native histograms apart.
type written struct{ samples, histograms int }

func (w written) sum() int { return w.samples + w.histograms }

// size is its length in bytes before compression.
func (p *parcel) size() int {
	n, err := snappy.DecodedLen(p.packed)
	if err != nil {
		return 0
	}
	return n
}

// request unpacks the parcel.
func (p *parcel) request() (wire.Request, error) {
	if n := p.size(); n > wire.MaxRequest {
		return wire.Request{}, fmt.Errorf("unpack a request: it has %d bytes, want at most %d", n, wire.MaxRequest)
	}
	raw, err := snappy.Decode(nil, p.packed)
	if err != nil {
		return wire.Request{}, fmt.Errorf("unpack a request: %w", err)
	}
	return wire.Decode(wire.Protocol(p.protocol), raw)
}

// become replaces what is in the parcel.
func (p *parcel) become(q wire.Request) {
	p.protocol, p.packed = Protocol(q.Protocol), snappy.Encode(nil, q.Raw)
	p.holds = written{q.Counts.Samples, q.Counts.Histograms}
}

// speak turns the parcel into one of this protocol.
func (p *parcel) speak(want Protocol) error {
	if p.protocol == want {
		return nil
	}
	q, err := p.request()
	if err == nil {
		q, err = q.Rewrite(wire.Protocol(want), nil)
	}
	if err == nil {
		p.become(q)
	}
	return err
}

// keep leaves out what is not to be kept, and tells how many samples that is; none, where nothing would be left.
func (p *parcel) keep(q wire.Request, keep func(*wire.Item) bool) (left int) {
	rest, err := q.Rewrite(q.Protocol, keep)
	if err != nil || items(rest.Counts) == 0 || items(rest.Counts) == items(q.Counts) {
		return 0
	}
	p.become(rest)
	return items(q.Counts) - items(rest.Counts)
}

// isProbe tells a parcel that has been counted before.
func (p *parcel) isProbe() bool { return p.holds.sum() == 0 }

// halves divides the parcel if it has at least so many series; nil where it cannot be divided, or not be read.
func (d *delivery) halves(p *parcel, series int) []*parcel {
	if p.isProbe() {
		return nil
	}
	q, err := p.request()
	if err != nil || q.Counts.Series < series {
		return nil
	}
	a, b, err := q.Split()
	if err != nil || items(b.Counts) == 0 {
		return nil
	}
	first, second := &parcel{born: d.accepts.Load()}, &parcel{born: d.accepts.Load()}
	first.become(a)
	second.become(b)
	return []*parcel{first, second}
}

// divide puts the first parcel's halves in its place, and tells whether it has any.
func (d *delivery) divide(p *parcel) bool {
	parts := d.halves(p, 1)
	if parts == nil {
		return false
	}
	d.line = append(parts, d.line[1:]...)
	return true
}
