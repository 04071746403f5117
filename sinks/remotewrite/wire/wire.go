// Package wire encodes remote-write requests, and decodes the requests that it has encoded.
//
//	labels, *metric.Desc ──Table.Series──▶ Series     once for each series
//	                                          │
//	  time, value, start ──Builder.Add────────┤       once for each sample, without hashing or allocating
//	                                          ▼
//	                                       Request    of protocol 1.0 or 2.0, not compressed
//	                                          │
//	                      ┌───────────────────┼──────────────────┐
//	                   Decode               Split           Rewrite, Join
//	                   and Items          in halves        in the other protocol, without some items, several in one
//
// The protocols are https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0, message prometheus.WriteRequest) and
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (2.0, message io.prometheus.write.v2.Request as of 2.0-rc.4:
// start timestamps are on samples and histograms).
//
// A request compresses best if its series are in the order of [Compare]: each then differs from the one before in a few
// adjacent bytes.
package wire

// Protocol is a version of remote-write.
type Protocol uint8

// The protocols. The values may be stored.
const (
	V1 Protocol = 1
	V2 Protocol = 2
)

func (p Protocol) String() string {
	switch p {
	case V1:
		return "1.0"
	case V2:
		return "2.0"
	}
	return "of an unknown version"
}

// The limits of what is decoded. Callers limit what they encode: see [Builder.Size].
const (
	// MaxRequest is the size of a request in bytes. VictoriaMetrics has the same limit by default. Decoding takes up to 16
	// times as much memory.
	MaxRequest = 32 << 20
	// MaxLabels is the size of the labels of a series or exemplar in bytes. It bounds 2.0 requests, in which all labels
	// may refer to one long string.
	MaxLabels = 1 << 20
)

// Request is an encoded request, not yet compressed.
type Request struct {
	Protocol Protocol
	Raw      []byte
	Counts   Counts
}

// Counts counts what a request contains.
type Counts struct {
	Series     int // messages of series; a series may have several
	Samples    int // without native histograms
	Histograms int // native histograms
	Exemplars  int

	Oldest, Newest int64 // timestamps of samples and histograms in Unix milliseconds; 0 if there are none
}

// Total returns the number of samples, including native histograms.
func (c Counts) Total() int { return c.Samples + c.Histograms }

// addTime counts a timestamp. The sample itself is counted after it.
func (c *Counts) addTime(time int64) {
	if c.Samples+c.Histograms == 0 {
		c.Oldest, c.Newest = time, time
	}
	c.Oldest, c.Newest = min(c.Oldest, time), max(c.Newest, time)
}
