// Package wire is the format of remote-write requests: it writes them from remembered series, and reads our own again.
//
//	labels, *metric.Desc ──Table.Series──▶ *Series   once in a series' life
//	                                          │
//	  time, value, start ──Builder.Add────────┤       at every tick: nothing is hashed, nothing allocated
//	                                          ▼
//	                                       Request     of protocol 1.0 or 2.0, ready for snappy
//	                                          │
//	                      ┌───────────────────┼──────────────────┐
//	                   Decode               Split             Rewrite
//	               its items again    in two, in order   in the other protocol, or without some items
//
// The protocols are https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0, message prometheus.WriteRequest) and
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (2.0, message io.prometheus.write.v2.Request as of 2.0-rc.4:
// start timestamps are on samples and histograms).
//
// A request compresses best when its series are in the order of [Compare]: then a series differs from the one before
// in few bytes, and these lie together.
package wire

// Protocol is a version of remote-write.
type Protocol uint8

// The protocols, with the values that a queue may store.
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

// The bounds of what is read again. What is written is cut by the caller, see [Builder.Size].
const (
	// MaxRequest is the size of a request in bytes: what VictoriaMetrics takes by default. What is read takes up to 16
	// times as much memory.
	MaxRequest = 32 << 20
	// MaxSeriesText is the size of the names and values of a series' or exemplar's labels together, in bytes: in a 2.0
	// request, each of them may refer to its longest string.
	MaxSeriesText = 1 << 20
)

// Request is an encoded request, not yet compressed.
type Request struct {
	Protocol Protocol
	Raw      []byte
	Counts   Counts
}

// Counts says what a request holds.
type Counts struct {
	Series     int // messages of a series; one whose samples come in several places counts more than once
	Samples    int // without native histograms
	Histograms int // native
	Exemplars  int

	Oldest, Newest int64 // times of samples and histograms in Unix milliseconds, both 0 where there are none
}

// Total returns the number of samples, native histograms among them.
func (c Counts) Total() int { return c.Samples + c.Histograms }

func (c *Counts) at(time int64) {
	if c.Samples+c.Histograms == 0 {
		c.Oldest, c.Newest = time, time
	}
	c.Oldest, c.Newest = min(c.Oldest, time), max(c.Newest, time)
}
