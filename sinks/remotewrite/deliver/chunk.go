package deliver

import (
	"fmt"
	"slices"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// chunk is a request to send. It has the samples of a record, of a part of a record, or of several records.
type chunk struct {
	protocol wire.Protocol
	packed   []byte // the compressed request; never modified, since the transport may still read it
	counts   counts // the samples that are not settled; zero for a probe

	// acceptedAtStart is the number of requests that the receiver had accepted when the chunk was made; acceptedAtError is that number at
	// the first response of 500 to the chunk, or a later one (delivery.serverError).
	acceptedAtStart, acceptedAtError int64
	serverErrors                     int       // number of responses of 500
	erredAt                          time.Time // when the first came, to the chunk or to a larger one that it was a part of

	suspect bool // a sample of its series was refused earlier
	again   bool // samples of the chunk have perhaps been sent before

	joined []spool.Record // the records that the chunk is made of, if several; nil = one record, or a part of one
}

// counts is a number of samples and a number of native histograms. The specification also counts the two separately.
type counts struct{ samples, histograms int }

func (c counts) total() int { return c.samples + c.histograms }

// probe returns a copy of an accepted chunk. Sending the copy changes nothing at the receiver, and shows whether the receiver works.
func (c *chunk) probe() *chunk { return &chunk{protocol: c.protocol, packed: c.packed} }

func (c *chunk) isProbe() bool { return c.counts.total() == 0 }

// size returns the size in bytes before compression.
func (c *chunk) size() int {
	n, err := snappy.DecodedLen(c.packed)
	if err != nil {
		return 0
	}
	return n
}

func (c *chunk) decode() (wire.Request, error) {
	if n := c.size(); n > wire.MaxRequest {
		return wire.Request{}, fmt.Errorf("decompress a request: %d bytes, want at most %d", n, wire.MaxRequest)
	}
	raw, err := snappy.Decode(nil, c.packed)
	if err != nil {
		return wire.Request{}, fmt.Errorf("decompress a request: %w", err)
	}
	return wire.Decode(c.protocol, raw)
}

// set replaces the contents of the chunk.
func (c *chunk) set(q wire.Request) {
	c.protocol, c.packed = q.Protocol, snappy.Encode(nil, q.Raw)
	c.counts = counts{q.Counts.Samples, q.Counts.Histograms}
}

// convert converts the chunk to a protocol.
func (c *chunk) convert(to wire.Protocol) error {
	if c.protocol == to {
		return nil
	}
	q, err := c.decode()
	if err == nil {
		q, err = q.Rewrite(to, nil)
	}
	if err == nil {
		probe := c.isProbe()
		c.set(q)
		if probe {
			c.counts = counts{}
		}
	}
	return err
}

// keep removes some items from the chunk and returns the number of samples removed. An item stays if the function in the argument "keep"
// returns true for the item. If no sample would then remain, the method removes nothing.
func (c *chunk) keep(q wire.Request, keep func(*wire.Item) bool) (leftOut int) {
	rest, err := q.Rewrite(q.Protocol, keep)
	if err != nil || rest.Counts.Total() == 0 || rest.Counts.Total() == q.Counts.Total() {
		return 0
	}
	c.set(rest)
	return q.Counts.Total() - rest.Counts.Total()
}

// leaveOutZeros removes the zeros that package encode has put before the first samples of running totals, and returns how many it has
// removed.
func (c *chunk) leaveOutZeros(q wire.Request) int {
	if q.Protocol != wire.V1 {
		return 0 // a receiver of 2.0 ignores them
	}
	zeros := zerosOf(q)
	n := -1
	return c.keep(q, func(*wire.Item) bool {
		n++
		return n >= len(zeros) || !zeros[n]
	})
}

// zerosOf returns true or false for each item of a request: true if the item is a zero that package encode has put before the first sample
// of a running total. A message contains two samples of one series only if the first of them is such a zero.
func zerosOf(q wire.Request) (zeros []bool) {
	last, isZero := -1, false
	for i, err := range q.Items() {
		if err != nil {
			return nil
		}
		if isZero && i.Series == last {
			zeros[len(zeros)-1] = true
		}
		zeros = append(zeros, false)
		last = i.Series
		isZero = i.Kind == wire.Sample && i.Value == 0 || i.Kind == wire.Histogram && i.Histogram.Count == 0
	}
	return zeros
}

// hasZeros reports whether zerosOf finds at least n zeros in the chunk, so that n refused samples can all be such zeros. A receiver refuses
// a zero if an earlier process has already sent the sample that follows the zero.
func (c *chunk) hasZeros(n int) bool {
	if !c.again {
		return false
	}
	q, err := c.decode()
	if err != nil {
		return false
	}
	for _, isZero := range zerosOf(q) {
		if isZero {
			n--
		}
	}
	return n <= 0
}

// isOneSeries reports whether all samples of a request are of the same series. A request that is joined from several records has a series
// once for each record.
func isOneSeries(q wire.Request) bool {
	var first []metric.Label
	for i, err := range q.Items() {
		switch {
		case err != nil:
			return false
		case first == nil:
			first = slices.Clone(i.Labels)
		case !slices.Equal(i.Labels, first):
			return false
		}
	}
	return true
}

// halves returns the two halves of a chunk. It returns nil if the chunk has fewer than minSeries series, or cannot be divided or decoded.
func (c *chunk) halves(minSeries int, accepted int64) []*chunk {
	if c.isProbe() {
		return nil
	}
	q, err := c.decode()
	if err != nil || q.Counts.Series < minSeries || minSeries > 1 && isOneSeries(q) {
		return nil
	}
	a, b, err := q.Split()
	if err != nil || b.Counts.Total() == 0 {
		return nil
	}
	rest := chunk{acceptedAtStart: accepted, erredAt: c.erredAt, suspect: c.suspect, again: c.again}
	first, second := rest, rest
	first.set(a)
	second.set(b)
	return []*chunk{&first, &second}
}

// pieces divides a chunk into the smallest possible chunks. It returns only the chunk itself if it cannot be divided or decoded.
func (c *chunk) pieces(accepted int64) []*chunk {
	halves := c.halves(1, accepted)
	if halves == nil {
		return []*chunk{c}
	}
	return append(halves[0].pieces(accepted), halves[1].pieces(accepted)...)
}
