package expose

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"

	"github.com/collectington/collectington/agent/metric"
)

// plainWriter writes samples that have only a value, in the text formats. Most samples are of this kind. A plainWriter writes the same
// bytes as expfmt, but needs no message for each sample.
type plainWriter struct {
	isOpenMetrics bool
	labels        []metric.Label // memory that is reused
	text          []byte         // memory that is reused
}

// isPlain reports whether a plainWriter can write all series of a chunk. It can if the series have no histograms, summaries or exemplars,
// and no timestamps of their own.
func isPlain(d *metric.Desc, series []metric.Series) bool {
	switch d.Type {
	case metric.Histogram, metric.GaugeHistogram, metric.Summary:
		return false
	}
	return !slices.ContainsFunc(series, func(s metric.Series) bool { return s.More != nil || s.Time != 0 })
}

// writesPlain reports whether the samples of a plain family can be written with addPlain.
func (e *encoder) writesPlain(d *metric.Desc) bool {
	isText := e.kind == expfmt.TypeTextPlain || e.kind == expfmt.TypeOpenMetrics
	return isText && !(e.created.on && d.Type == metric.Counter)
}

// addPlain encodes samples of a plain family whose names need no escaping. The first sample of a family must be added with the method add,
// which also writes the comments. The argument "relabel" is Converter.Labels.
func (e *encoder) addPlain(name string, series []metric.Series, relabel func(dst, own []metric.Label) []metric.Label) {
	if len(series) == 0 {
		return
	}
	w := &e.plain
	w.isOpenMetrics, w.text = e.kind == expfmt.TypeOpenMetrics, w.text[:0]
	for i := range series {
		w.labels = series[i].Labels.Append(w.labels[:0])
		all := w.labels
		if relabel != nil {
			w.labels = relabel(w.labels, w.labels)
			all = w.labels[len(all):]
		}
		w.sample(name, all, series[i].Value)
	}
	e.packer.write(w.text)
}

// sample writes the line of a sample.
func (w *plainWriter) sample(name string, labels []metric.Label, value float64) {
	w.text = append(w.text, name...)
	separator := byte('{')
	for i := range labels {
		w.text = append(append(w.text, separator), labels[i].Name...)
		w.text = appendEscaped(append(w.text, `="`...), labels[i].Value)
		w.text = append(w.text, '"')
		separator = ','
	}
	if len(labels) > 0 {
		w.text = append(w.text, '}')
	}
	w.number(value)
	w.text = append(w.text, '\n')
}

// number writes a space and a value.
func (w *plainWriter) number(f float64) {
	w.text = append(w.text, ' ')
	begin := len(w.text)
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		w.text = strconv.AppendFloat(w.text, f, 'g', -1, 64)
		return
	case math.Abs(f) < 1e6 && f == math.Trunc(f): // strconv begins to use an exponent at a million
		w.text = strconv.AppendInt(w.text, int64(f), 10)
	default:
		w.text = strconv.AppendFloat(w.text, f, 'g', -1, 64)
	}
	if w.isOpenMetrics && !bytes.ContainsAny(w.text[begin:], "e.") {
		w.text = append(w.text, ".0"...)
	}
}

// appendEscaped appends the value of a label, without its quotes. Invalid UTF-8 is replaced, as in toValidUTF8.
func appendEscaped(dst []byte, value string) []byte {
	for i := range len(value) {
		if c := value[i]; c == '\\' || c == '"' || c == '\n' || c >= utf8.RuneSelf {
			return appendUnusual(dst, value)
		}
	}
	return append(dst, value...)
}

// appendUnusual appends a value that has characters to escape, or characters that are not ASCII.
func appendUnusual(dst []byte, value string) []byte {
	value = strings.ToValidUTF8(value, "\uFFFD")
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
