package exposition

import (
	"bytes"
	"math"
	"strconv"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// role is what a line is in its series.
type role uint8

const (
	roleValue   role = iota // the only value
	roleBucket              // the count of a bucket, or the value of a quantile
	roleCount               // _count of a histogram or summary
	roleSum                 // _sum of a histogram or summary
	roleNative              // a native histogram
	roleCreated             // _created: the start timestamp

	// Lines without a sample.
	roleMetadata // # HELP or # UNIT
	roleType     // # TYPE
)

// bounds is the label whose value is a number to be written in one way: 1 and 1.0 are the same bound. As in Prometheus, it is
// that of the last # TYPE line, whatever the family of the sample is.
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

// label returns the name of the label, or "".
func (b bounds) label() string {
	return [...]string{boundsNone: "", boundsLe: model.BucketLabel, boundsQuantile: model.QuantileLabel}[b]
}

// line is one line of a page: a sample, or metadata of a family. It is kept while the page has it.
//
// There is one for each sample, so it is small. The text of the line is represented by a hash. Two lines of a page have one
// hash by a chance of 2⁻⁶⁴.
type line struct {
	hash      uint64 // of the series as the page writes it; of metadata, of the whole line
	length    uint32 // of the hashed text, in bytes
	version   uint32 // of family when the line was resolved; without a family, of the cache's families
	family    *metadata
	series    *series // nil if relabelling drops the line, and of a duplicate
	next      *line   // of the same series
	bound     float64 // of a bucket: le or quantile
	role      role
	bounds    bounds
	duplicate bool // another line has the same role in the same series

	seen, updated uint32 // the last rounds that had the line, and that used it
	older         int32  // see setOlder

	// Of the current round.
	value       float64
	time, start int64

	extra *extra // nil = empty
}

// neverCurrent is a version that neither a family nor the families of a cache ever have.
const neverCurrent = math.MaxUint32

// extra is what few lines have.
type extra struct {
	own *series // shows the line as a number, if its histogram or summary is incomplete

	// Of the current round.
	exemplars []metric.Exemplar
	histogram *metric.HistogramValue

	points *points // nil = there was never more than one
	same   *line   // of a duplicate: the line of this round that has its role
}

// metadata is what a page says about a family.
type metadata struct {
	name, help, unit string
	typ              model.MetricType
	version          uint32 // counts changes
	seen, typed      uint32 // the last rounds that had any line of it, and its # TYPE
}

// isIn reports whether the page of this round has shown so far all that is remembered of the family.
func (m *metadata) isIn(round uint32) bool {
	return m.seen == round && (m.typed == round || m.typ == model.MetricTypeUnknown)
}

// needExtra returns the line's extra, and makes it if there is none.
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

// isOutdated reports whether the line must be resolved again, given what is normalized at its place in the page.
func (l *line) isOutdated(c *Cache, normalized bounds) bool {
	switch {
	case l.role >= roleMetadata:
		return l.version != l.family.version
	case l.duplicate, l.bounds != normalized: // the other line may be gone
		return true
	case l.family == nil:
		return l.version != c.familiesVersion
	}
	return l.version != l.family.version || !l.family.isIn(c.pool.round)
}

// set sets the value that the page has.
func (l *line) set(value float64) {
	l.value = value
	if l.role == roleCreated {
		l.start = startTimestamp(value)
	}
}

// startTimestamp returns seconds since 1970 in milliseconds, or 0 if they are out of range.
func startTimestamp(seconds float64) int64 {
	if seconds > 0 && seconds < 1e11 {
		return int64(seconds * 1000)
	}
	return 0
}

// parseEnd parses the text behind the hashed part of the line: a value and a line feed, or a line feed only for metadata.
// It is not ok for any other text, such as a timestamp or an exemplar.
func (l *line) parseEnd(text []byte) (value float64, size int, ok bool) {
	switch {
	case l.role >= roleMetadata:
		return 0, 1, text[0] == '\n'
	case text[0] == ' ':
		value, size, ok = parseValue(text[1:])
	}
	return value, size + 1, ok
}

// parseValue parses a number and the line feed behind it.
func parseValue(text []byte) (value float64, size int, ok bool) {
	integer := 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' && i < 15: // a float64 holds 15 digits exactly
			integer = 10*integer + int(c-'0')
		case c == '\n' && i > 0:
			return float64(integer), i + 1, true
		default:
			return parseFloat(text)
		}
	}
	return 0, 0, false
}

// maxNumber is the length in bytes beyond which a number is left to the parser.
const maxNumber = 32

func parseFloat(text []byte) (value float64, size int, ok bool) {
	end := bytes.IndexByte(text[:min(len(text), maxNumber)], '\n')
	if end < 0 || bytes.ContainsAny(text[:end], "pP_") { // Go's syntax, which Prometheus does not accept
		return 0, 0, false
	}
	value, err := strconv.ParseFloat(string(text[:end]), 64)
	return value, end + 1, err == nil
}
