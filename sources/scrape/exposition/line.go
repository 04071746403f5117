package exposition

import (
	"bytes"
	"math"
	"strconv"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// role is the meaning of a line for its series.
type role uint8

const (
	roleValue   role = iota // the only line of the series
	roleBucket              // the count of a bucket, or the value of a quantile
	roleCount               // _count of a histogram or summary
	roleSum                 // _sum of a histogram or summary
	roleNative              // a native histogram
	roleCreated             // _created: the start timestamp

	// Roles of lines without a sample.
	roleMetadata // # HELP or # UNIT
	roleType     // # TYPE
)

// bounds says which label contains the number of a bound. Different spellings of the number are equal: 1 and 1.0 are the same bound. As in
// Prometheus, the label is determined by the previous # TYPE line on the page, not by the family of the sample.
type bounds uint8

const (
	boundsNone bounds = iota
	boundsLe
	boundsQuantile
)

func boundsOf(typ model.MetricType) bounds {
	switch typ {
	case model.MetricTypeHistogram:
		return boundsLe
	case model.MetricTypeSummary:
		return boundsQuantile
	}
	return boundsNone
}

// label returns the name of the label, or "" if there is none.
func (b bounds) label() string {
	return [...]string{boundsNone: "", boundsLe: model.BucketLabel, boundsQuantile: model.QuantileLabel}[b]
}

// line is one line of a page: a sample, or metadata of a family. It is kept as long as the page has the line.
//
// There is a line for each sample, so it is small. It has a hash in place of the text. The probability that two lines have the same
// hash is 2⁻⁶⁴.
type line struct {
	hash      uint64 // hash of the series as written on the page; for metadata, of the whole line
	length    uint32 // length of the hashed text in bytes
	version   uint32 // version of family when the line was resolved; if family is nil, familiesVersion of the cache
	family    *metadata
	series    *series // nil if relabelling drops the line, or if the line is a duplicate
	next      *line   // next line of the same series
	bound     float64 // for a bucket: the value of le or quantile
	role      role
	bounds    bounds
	duplicate bool // another line has the same role in the same series

	seen, updated uint32 // the last round in which the page had the line, and the last one in which its value was used
	older         int32  // timestamp on the last successful page: see setOlder

	// Fields of the current round.
	value       float64
	time, start int64

	extra *extra // nil = empty
}

// neverCurrent is a version that no family and no cache can have.
const neverCurrent = math.MaxUint32

// extra holds data that only few lines have.
type extra struct {
	own *series // the series of this line alone, if its histogram or summary is not complete

	// Fields of the current round.
	exemplars []metric.Exemplar
	histogram *metric.HistogramValue

	points *points // nil = the line never had more than one point
	same   *line   // for a duplicate: the line in this round that has the same role
}

// metadata holds what a page says about a family.
type metadata struct {
	name, help, unit string
	typ              model.MetricType
	version          uint32 // number of changes so far
	seen, typed      uint32 // the last round in which a page had a metadata line of the family, and the last round with its # TYPE line
}

// isIn reports whether the page of this round already had metadata of the family: at least one line, and also the line with the type unless
// the type is unknown.
func (m *metadata) isIn(round uint32) bool {
	return m.seen == round && (m.typed == round || m.typ == model.MetricTypeUnknown)
}

// needExtra returns the line's extra. It creates the extra if there is none.
func (l *line) needExtra() *extra {
	if l.extra == nil {
		l.extra = &extra{}
	}
	return l.extra
}

func (l *line) exemplars() []metric.Exemplar {
	if l.extra == nil {
		return nil
	}
	return l.extra.exemplars
}

// isOutdated reports whether the line must be resolved again. The argument "normalized" is the bound label at the current position of the
// page.
func (l *line) isOutdated(c *Cache, normalized bounds) bool {
	switch {
	case l.role >= roleMetadata:
		return l.version != l.family.version
	case l.duplicate, l.bounds != normalized: // the first line of the duplicates may no longer exist
		return true
	case l.family == nil:
		return l.version != c.familiesVersion
	}
	return l.version != l.family.version || !l.family.isIn(c.pool.round)
}

// set sets the value that the line has on the page.
func (l *line) set(value float64) {
	l.value = value
	if l.role == roleCreated {
		l.start = startTimestamp(value)
	}
}

// startTimestamp converts Unix seconds to milliseconds. It returns 0 if they are out of range.
func startTimestamp(seconds float64) int64 {
	if seconds > 0 && seconds < 1e11 {
		return int64(seconds * 1000)
	}
	return 0
}

// parseEnd parses the text after the hashed part of the line: a value and a line feed, or only a line feed if the line is metadata. The
// result "ok" is false for other texts, such as a timestamp or an exemplar: the parser must read these.
func (l *line) parseEnd(text []byte) (value float64, size int, ok bool) {
	switch {
	case l.role >= roleMetadata:
		return 0, 1, text[0] == '\n'
	case text[0] == ' ':
		value, size, ok = parseValue(text[1:])
	}
	return value, size + 1, ok
}

// parseValue parses a number and the line feed after it.
func parseValue(text []byte) (value float64, size int, ok bool) {
	integer := 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' && i < 15: // a float64 can represent 15 digits exactly
			integer = 10*integer + int(c-'0')
		case c == '\n' && i > 0:
			return float64(integer), i + 1, true
		default:
			return parseFloat(text)
		}
	}
	return 0, 0, false
}

// maxNumber is the maximum length in bytes of a number that is read here. Longer numbers are left to the parser.
const maxNumber = 32

func parseFloat(text []byte) (value float64, size int, ok bool) {
	end := bytes.IndexByte(text[:min(len(text), maxNumber)], '\n')
	if end < 0 || bytes.ContainsAny(text[:end], "pP_") { // p, P and _ are allowed in Go, but Prometheus does not accept them
		return 0, 0, false
	}
	value, err := strconv.ParseFloat(string(text[:end]), 64)
	return value, end + 1, err == nil
}
