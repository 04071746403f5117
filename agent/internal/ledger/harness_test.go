package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/collectington/collectington/agent/metric"
)

// epoch is the start of the tests' histories. Times are written as durations since then.
func epoch() time.Time { return time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC) }

func since(at time.Time) string      { return at.Sub(epoch()).String() }
func sinceMilli(at int64) string     { return since(time.UnixMilli(at)) }
func milli(span time.Duration) int64 { return epoch().Add(span).UnixMilli() }

// apply applies readings as a source makes them: their strings are in memory that is overwritten afterwards. A string that the
// ledger keeps without a copy becomes #.
func apply(l *Ledger, at time.Time, readings metric.Readings) (*Result, error) {
	size := 0
	for _, m := range readings {
		for _, row := range m.Rows {
			size += len(row.Event) + len(strings.Join(row.Labels, ""))
		}
	}
	document := make([]byte, 0, size)
	text := func(s string) string {
		document = append(document, s...)
		return unsafe.String(unsafe.SliceData(document[len(document)-len(s):]), len(s))
	}
	lent := make(metric.Readings, len(readings))
	for i, m := range readings {
		lent[i] = m
		lent[i].Rows = make([]metric.Reading, len(m.Rows))
		for j, row := range m.Rows {
			lent[i].Rows[j] = row
			lent[i].Rows[j].Event = text(row.Event)
			lent[i].Rows[j].Labels = make([]string, len(row.Labels))
			for k, v := range row.Labels {
				lent[i].Rows[j].Labels[k] = text(v)
			}
		}
	}
	result, err := l.Apply(at, lent)
	copy(document, strings.Repeat("#", len(document)))
	for _, m := range lent {
		for j := range m.Rows {
			clear(m.Rows[j].Labels)
			m.Rows[j] = metric.Reading{Value: 666}
		}
	}
	return result, err
}

// show returns families as text with all their values, a line per series.
func show(families []metric.Family) []string {
	var lines []string
	for _, f := range families {
		for i := range f.Series {
			lines = append(lines, f.Desc.Name+showSeries(&f, &f.Series[i]))
		}
	}
	return lines
}

func showSeries(f *metric.Family, s *metric.Series) string {
	d := f.Desc
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.Labels)
	switch {
	case d.Type == metric.Histogram:
		h := s.Histogram()
		fmt.Fprintf(&b, " count %d sum %v", h.Count, h.Sum)
		if h.Counts != nil {
			fmt.Fprintf(&b, " buckets %v", h.Counts)
		}
		if n := h.Native; n != nil {
			fmt.Fprintf(&b, " schema %d zero %d positive %v negative %v", n.Schema, n.ZeroCount, n.Positive, n.Negative)
		}
	case d.Type == metric.Summary:
		fmt.Fprintf(&b, " count %d sum %v", s.Summary().Count, s.Summary().Sum)
		if len(d.Quantiles) > 0 {
			fmt.Fprintf(&b, " quantiles %v", s.Summary().Quantiles)
		}
	default:
		fmt.Fprintf(&b, " %v", s.Value)
	}
	for _, p := range f.Earlier[s.Labels] {
		fmt.Fprintf(&b, " after %v at %s", p.Value, sinceMilli(p.Time))
		if p.Start != 0 {
			fmt.Fprintf(&b, " since %s", sinceMilli(p.Start))
		}
	}
	if s.Start != 0 {
		fmt.Fprintf(&b, " since %s", sinceMilli(s.Start))
	}
	if s.Time != 0 {
		fmt.Fprintf(&b, " at %s", sinceMilli(s.Time))
	}
	return b.String()
}

func mustApply(t *testing.T, l *Ledger, at time.Time, readings ...metric.Measured) *Result {
	t.Helper()
	r, err := apply(l, at, readings)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
