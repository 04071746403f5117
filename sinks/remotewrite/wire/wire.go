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
// A request compresses best if its series are sorted so that a series differs from the previous one in only a few adjacent bytes.
package wire

// Protocol is a version of remote-write.
type Protocol uint8

// The protocols. Their values are stored on disk.
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

// The limits of requests that are decoded or rewritten. Callers limit the requests that they encode: see [Builder.Size].
const (
	// MaxRequest is the largest size of a request in bytes. It is also the default limit of VictoriaMetrics. Decoding takes up to
	// 16 times as much memory.
	MaxRequest = 32 << 20
	// MaxLabels is the largest size of the labels of a series or exemplar in bytes. It limits the memory for 2.0 requests, in which
	// many labels may refer to one long string.
	MaxLabels = 1 << 20
)

// Request is an encoded request before compression.
type Request struct {
	Protocol Protocol
	Raw      []byte
	Counts   Counts
}

// Counts counts what a request contains.
type Counts struct {
	Series     int // number of messages of series; a series may have several
	Samples    int // number of samples without native histograms
	Histograms int // native histograms
	Exemplars  int

	Oldest, Newest int64 // timestamps of samples and histograms in Unix milliseconds; 0 if there are none
}

// Total returns the number of samples, including native histograms.
func (c Counts) Total() int { return c.Samples + c.Histograms }

// addTime includes a timestamp in Oldest and Newest. It must be called before the sample is counted.
func (c *Counts) addTime(time int64) {
	if c.Samples+c.Histograms == 0 {
		c.Oldest, c.Newest = time, time
	}
	c.Oldest, c.Newest = min(c.Oldest, time), max(c.Newest, time)
}
