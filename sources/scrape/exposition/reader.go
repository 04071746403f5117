package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/native"
)

// The media types of pages.
const (
	formatText        = "text/plain"
	formatOpenMetrics = "application/openmetrics-text"
	formatProtobuf    = "application/vnd.google.protobuf"
)

// The limits for any page, independent of the options.
const (
	maxSamples  = 1_000_000
	maxFamilies = 100_000
	maxExemplar = 128            // characters in the labels of an exemplar (OpenMetrics 1.0, section "Exemplars")
	maxFuture   = 10 * 60 * 1000 // milliseconds by which a timestamp may be later than the round, as in Prometheus
)

// Reader reads one page into the lines of a cache.
type Reader struct {
	pool     *Pool
	cache    *Cache
	parser   textparse.Parser
	format   string            // media type of the page
	family   *metadata         // family of the last metadata line
	typ      model.MetricType  // type in the last # TYPE line
	exemplar exemplar.Exemplar // memory that is reused
	beside   beside
	exceeded bool // sample_limit was exceeded

	// Fields that are only used for text formats.
	body   []byte
	rest   []byte                             // the part of body that was not read yet
	resume func(rest []byte) textparse.Parser // returns a parser for the rest of the body; nil for protobuf
	failed error                              // error in the lines that Stream took
}

// Finish parses the remaining part of the page and ends the scrape. An error makes the whole scrape fail: the target then only
// shows its gauges. The body is not used after Finish.
func (r *Reader) Finish(body []byte, contentType string) error {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if err := r.pool.contain(func() error { return r.parse(body, contentType) }); err != nil {
		r.cache.abort()
		return err
	}
	r.cache.end()
	return nil
}

// Discard ends a scrape if the page could not be fetched.
func (r *Reader) Discard() {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.cache.abort()
}

func (r *Reader) parse(body []byte, contentType string) error {
	if r.failed != nil {
		return r.failed
	}
	if len(body) == 0 && len(r.cache.current) == 0 {
		return nil // as in Prometheus, an empty page of any type is valid and has no samples
	}
	body, err := r.choose(body, contentType)
	if err != nil {
		return err
	}
	r.openText(body)
	if err := r.parseLines(); err != nil {
		return err
	}
	if r.format == formatText && !isComments(r.rest) {
		return r.parseError(errors.New("a zero byte outside of a label value"))
	}
	if !r.exceeded {
		r.cache.assemble()
	}
	if limit := r.pool.options.SampleLimit; limit > 0 && r.cache.Kept > limit {
		return fmt.Errorf("%d samples, more than sample_limit (%d): drop series with metric_relabel_configs, or raise it", r.cache.Kept, limit)
	}
	return nil
}

// choose sets the parser for a page, and the format of the page. It returns the page as the parser reads it.
func (r *Reader) choose(body []byte, contentType string) ([]byte, error) {
	o := &r.pool.options
	fallback := o.Fallback
	if contentType == "" && fallback == "" {
		fallback = formatText // Prometheus would return an error here
	}
	open := func() {
		body = slices.Grow(body, 1) // space for the line feed that the parser appends, so that it does not copy the body
		r.parser, _ = textparse.New(body, contentType, nil, textparse.ParserOptions{
			KeepClassicOnClassicAndNativeHistograms: true, IgnoreNativeHistograms: !o.NativeHistograms, FallbackContentType: fallback,
		})
	}
	open()
	switch r.parser.(type) {
	case *textparse.PromParser:
		r.format = formatText
		if o.Untargeted && !bytes.HasSuffix(body, []byte("\n")) {
			return nil, errors.New("the last line has no line feed at its end: the text may not be complete")
		}
		if plain, isIndented := unindent(body); isIndented {
			body = plain
			open()
		}
	case *textparse.OpenMetricsParser:
		r.format = formatOpenMetrics
	case *textparse.ProtobufParser:
		r.format = formatProtobuf
	default:
		return nil, fmt.Errorf("unsupported Content-Type %.60q: want text/plain, OpenMetrics or protobuf; is it a login or error page? "+
			"If it is a page of metrics, set fallback_scrape_protocol, such as PrometheusText0.0.4", contentType)
	}
	return body, nil
}

// openText prepares the reader for taking lines of a text format without the parser.
func (r *Reader) openText(body []byte) {
	symbols := labels.NewSymbolTable()
	switch r.parser.(type) {
	case *textparse.PromParser:
		r.resume = func(rest []byte) textparse.Parser { return textparse.NewPromParser(rest, symbols, false) }
	case *textparse.OpenMetricsParser:
		r.resume = func(rest []byte) textparse.Parser { return textparse.NewOpenMetricsParser(rest, symbols) }
	default:
		return
	}
	r.body, r.rest = body, body
}

// isComments reports whether the text after the last line that the parser has returned contains only comments and empty lines. This
// is checked because the parser treats a zero byte outside of a label value or comment as the end of the page.
func isComments(rest []byte) bool {
	for text := range bytes.Lines(rest) {
		if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '#' {
			return false
		}
	}
	return true
}

func (r *Reader) parseLines() error {
	for {
		if any, err := r.takeKnown(); err != nil {
			return err
		} else if any {
			r.parser = r.resume(r.rest)
		}
		entry, err := r.parser.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.parseError(err)
		}
		if err := r.take(entry); err != nil {
			return err
		}
		if r.cache.Scraped > maxSamples || len(r.cache.families) > maxFamilies {
			return fmt.Errorf("the page has more than %d samples or %d families", maxSamples, maxFamilies)
		}
	}
}

// takeKnown takes lines without the parser. It stops at the first line that differs from the last scrape in more than its value, or that is
// in another position. The result "any" is true if it has taken a line. takeKnown does not use anything that the pool's mutex guards.
func (r *Reader) takeKnown() (any bool, err error) {
	for c := r.cache; c.next < len(c.last) && err == nil; any = true {
		l := c.last[c.next]
		n := int(l.length)
		if n >= len(r.rest) || l.isOutdated(c, boundsOf(r.typ)) || l.hash != maphash.Bytes(r.pool.seed, r.rest[:n]) {
			break
		}
		text, end := r.rest[:n], r.rest[n:]
		value, size, ok := l.parseEnd(end)
		if !ok {
			break
		}
		c.next++
		r.rest = end[size:]
		if l.role >= roleMetadata {
			r.takeMetadata(l)
		} else if l, _ := r.open(l, text, nil, false); l != nil {
			l.set(value)
		}
	}
	return any, err
}

// takeMetadata takes a metadata line that was also in the last scrape.
func (r *Reader) takeMetadata(l *line) {
	if l.role == roleType {
		r.typ, l.family.typed = l.family.typ, r.pool.round
	}
	l.family.seen, r.family = r.pool.round, l.family
	r.cache.see(l)
}

// take takes an entry that the parser has returned.
func (r *Reader) take(entry textparse.Entry) error {
	switch entry {
	case textparse.EntryType:
		name, typ := r.parser.Type()
		r.typ = typ
		m := r.metadata(name)
		if m.typ != typ {
			m.typ = typ
			m.version++
		}
		m.typed = r.pool.round
		r.remember(name, m, roleType)
	case textparse.EntryHelp:
		name, help := r.parser.Help()
		m := r.metadata(name)
		if m.help != string(help) {
			m.help = string(help)
			m.version++
		}
		r.remember(name, m, roleMetadata)
	case textparse.EntryUnit:
		name, unit := r.parser.Unit()
		m := r.metadata(name)
		if m.unit != string(unit) {
			m.unit = string(unit)
			m.version++
		}
		r.remember(name, m, roleMetadata)
	case textparse.EntrySeries:
		return r.takeSample()
	case textparse.EntryHistogram:
		return r.takeHistogram()
	}
	return nil
}

// metadata returns the metadata of the family with this name. It creates the metadata if there is none.
func (r *Reader) metadata(name []byte) *metadata {
	r.advance(name)
	r.beside.end()
	if m := r.family; m != nil && m.name == string(name) {
		return m
	}
	c := r.cache
	m := c.families[string(name)]
	if m == nil {
		m = &metadata{name: string(name), typ: model.MetricTypeUnknown}
		c.families[m.name] = m
		c.familiesVersion++
	}
	m.seen = r.pool.round
	r.family = m
	return m
}

// remember adds a metadata line to the cache. The argument "name" is the family's name. It must be a part of the body, so that it shows the
// position of the line.
func (r *Reader) remember(name []byte, m *metadata, role role) {
	if r.resume == nil {
		return
	}
	i := cap(r.body) - cap(name) // the position of name in the body
	start, end := bytes.LastIndexByte(r.body[:i], '\n')+1, len(r.body)-len(r.rest)-1
	if end < i || r.body[end] != '\n' {
		return // the last line has no line feed, so it is not remembered
	}
	hash := maphash.Bytes(r.pool.seed, r.body[start:end])
	l := r.cache.find(hash, end-start)
	if l == nil {
		l = &line{hash: hash, length: uint32(end - start)}
		r.pool.index.add(l)
	}
	l.role, l.family, l.version = role, m, m.version
	r.cache.see(l)
}

// advance sets the field "rest" to the text after the line that the parser has read. The argument "part" must be a part of this line in the
// body.
func (r *Reader) advance(part []byte) {
	if r.resume == nil {
		return
	}
	_, r.rest, _ = bytes.Cut(r.body[cap(r.body)-cap(part)+len(part):], []byte("\n"))
}

// takeSample takes a line with a number as its value.
func (r *Reader) takeSample() error {
	text, timestamp, value := r.parser.Series()
	r.advance(text)
	if r.beside.next(text); r.beside.isHidden {
		return nil
	}
	l, again, err := r.line(text, timestamp, false)
	if l == nil || err != nil {
		return err
	}
	if again {
		r.addPoint(l, text, *timestamp, value)
		return nil
	}
	l.set(value)
	if l.role != roleCreated {
		r.takeExemplars(l)
	}
	if r.format == formatProtobuf && (l.role == roleCount || l.role == roleValue && l.series.typ == metric.Counter) {
		l.start = r.parser.StartTimestamp()
	}
	return nil
}

// takeHistogram takes a native histogram.
func (r *Reader) takeHistogram() error {
	text, timestamp, h, floats := r.parser.Histogram()
	r.beside.end()
	l, again, err := r.line(text, timestamp, true)
	isGauge := l != nil && l.series.typ == metric.GaugeHistogram // the classic lines of a gauge histogram are separate gauges
	if !r.pool.options.AlwaysClassic && !isGauge {
		r.beside.begin(text, l == nil)
	}
	if l == nil || err != nil {
		return err
	}
	if again {
		r.pool.drop(metric.Duplicate, func() string { return printable(string(text)) + ": a second point of a native histogram" })
		return nil
	}
	l.needExtra().histogram, err = native.Value(h, floats)
	if err != nil {
		r.pool.drop(metric.Invalid, func() string { return fmt.Sprintf("%s%s: %v", l.series.name, l.series.labels, err) })
		return nil
	}
	r.takeExemplars(l)
	l.start = r.parser.StartTimestamp()
	return nil
}

// takeExemplars adds the exemplars that the parser has for the current sample to the line.
func (r *Reader) takeExemplars(l *line) {
	x := &r.exemplar
	for ; r.parser.Exemplar(x); *x = (exemplar.Exemplar{}) {
		e := metric.Exemplar{Value: x.Value}
		length := 0
		x.Labels.Range(func(label labels.Label) {
			if label.Value == "" { // an empty value means that the label is absent
				return
			}
			length += utf8.RuneCountInString(label.Name) + utf8.RuneCountInString(label.Value)
			// Cloned, since otherwise one label would keep the memory of all labels.
			e.Labels = append(e.Labels, metric.Label{Name: strings.Clone(label.Name), Value: strings.Clone(label.Value)})
		})
		if x.HasTs {
			e.Time = x.Ts
		}
		name, isTwice := x.Labels.HasDuplicateLabelNames()
		switch {
		case isTwice:
			r.pool.drop(metric.Invalid, func() string { return "an exemplar that has the label " + printable(name) + " twice" })
		case length > maxExemplar:
			r.pool.drop(metric.LabelTooBig, func() string { return fmt.Sprintf("an exemplar with labels of %d characters", length) })
		default:
			extra := l.needExtra()
			extra.exemplars = append(extra.exemplars, e)
		}
	}
}

// line returns the line of the current sample, or nil if the sample is dropped. The result "again" is true if the page already has a sample
// of the same series, so that the current sample is another point.
func (r *Reader) line(text []byte, timestamp *int64, isNative bool) (l *line, again bool, err error) {
	hash := maphash.Bytes(r.pool.seed, text)
	l = r.cache.find(hash, len(text))
	isNew := l == nil
	if isNew && r.exceeded {
		return nil, false, r.countOnly()
	}
	if isNew {
		l = &line{hash: hash, length: uint32(len(text))}
	}
	if isNew || l.isOutdated(r.cache, boundsOf(r.typ)) {
		if err := r.resolve(l, isNative); err != nil {
			if r.beside.isActive {
				return nil, false, nil
			}
			r.cache.Scraped++
			return nil, false, err
		}
	}
	if isNew {
		r.pool.index.add(l)
	}
	l, again = r.open(l, text, timestamp, isNew)
	return l, again, nil
}

// countOnly counts a sample after sample_limit was exceeded.
func (r *Reader) countOnly() error {
	r.cache.Scraped++
	final, err := r.cache.final(r.labels())
	if !final.IsEmpty() {
		r.cache.Kept++
	}
	return err
}

// open counts the current sample and prepares its line for the value. It returns nil if the sample is dropped. The result "again" is true
// if the sample is another point of the returned line.
func (r *Reader) open(l *line, text []byte, timestamp *int64, isNew bool) (_ *line, again bool) {
	c, o := r.cache, &r.pool.options
	isKept, isCounted := l.series != nil || l.duplicate, r.isCounted(l)
	if isCounted {
		c.Scraped++
	}
	again = c.see(l)
	if !isKept {
		return nil, false // relabelling has dropped it
	}
	if isCounted {
		c.Kept++
		r.exceeded = o.SampleLimit > 0 && c.Kept > o.SampleLimit
	}
	if isNew && !again && (isCounted || l.role == roleCount && !r.beside.isActive) {
		c.Added++
	}
	if r.exceeded {
		return nil, false // the scrape will fail
	}
	drop := func() { r.pool.drop(metric.Duplicate, func() string { return printable(string(text)) }) }
	if l.duplicate {
		if l.extra == nil || l.extra.same == nil {
			drop() // the series belongs to another target or is a gauge
			return nil, false
		}
		l, again = l.extra.same, true
	}
	switch {
	case !again || l.updated != r.pool.round:
		return r.openSeries(l, text, timestamp), false
	case timestamp != nil && o.HonorTimestamps:
		return l, true
	}
	drop()
	return nil, false
}

// isCounted reports whether the line counts as a sample. Lines of a classic histogram that will be converted are counted later,
// when the histogram is assembled.
func (r *Reader) isCounted(l *line) bool {
	switch {
	case r.beside.isActive:
		return false
	case l.series == nil:
		return true
	case l.role == roleCreated:
		return false
	}
	return !r.pool.options.ClassicToNHCB || l.series.typ != metric.Histogram || l.role == roleNative
}

// openSeries sets the timestamp of the line and shows its series. It returns nil if the timestamp is too far in the future.
func (r *Reader) openSeries(l *line, text []byte, timestamp *int64) *line {
	p := r.pool
	before := int64(0)
	if l.updated == r.cache.good {
		before = l.time
	}
	l.time, l.start = 0, 0
	if l.extra != nil {
		l.extra.exemplars, l.extra.histogram = nil, nil
		if l.extra.points != nil {
			l.extra.points.all = l.extra.points.all[:0]
		}
	}
	if timestamp != nil && p.options.HonorTimestamps {
		l.time = ownTime(*timestamp)
		if l.time > p.now+maxFuture {
			p.drop(metric.Future, func() string { return fmt.Sprintf("%s at %d", printable(string(text)), l.time) })
			return nil
		}
	}
	l.setOlder(before)
	l.updated = p.round
	if l.role == roleCreated {
		return l
	}
	x := l.series
	if x.seen != p.round {
		x.seen, x.got, x.split = p.round, 0, false
		r.cache.shown = append(r.cache.shown, x)
	}
	x.got++
	return l
}

// resolve finds the series of the line that the parser has read, and the line's role in the series.
func (r *Reader) resolve(l *line, isNative bool) error {
	scraped := r.labels()
	name := scraped.Get(model.MetricNameLabel)
	if label, twice := scraped.HasDuplicateLabelNames(); twice {
		return fmt.Errorf("a series of %s has the label %s twice", printable(name), printable(label))
	}
	m, suffix := r.cache.metadata(name)
	l.family, l.version, l.bounds = m, r.cache.familiesVersion, boundsOf(r.typ)
	switch {
	case m != nil && !m.isIn(r.pool.round): // the family's metadata is from the previous page; this page has none yet, or only a part of it
		m, l.family, l.version = nil, nil, neverCurrent
	case m != nil:
		l.version = m.version
	}
	final, err := r.cache.final(scraped)
	if err != nil {
		return err
	}
	if final.IsEmpty() {
		r.pool.detach(l)
		return nil
	}
	id := identity{name: final.Get(model.MetricNameLabel)}
	switch {
	case isNative:
		id.typ, id.role = metric.Histogram, roleNative
		if m != nil && m.typ == model.MetricTypeGaugeHistogram {
			id.typ = metric.GaugeHistogram
		}
	case m != nil:
		id = id.inFamily(m.typ, suffix, final)
		if id.role == roleCreated && r.format != formatOpenMetrics {
			id = identity{name: final.Get(model.MetricNameLabel)} // in other formats it is a separate series
		}
	}
	r.cache.attach(l, id, final)
	return nil
}

// labels returns the labels of the sample that the parser has read.
func (r *Reader) labels() (all labels.Labels) {
	r.parser.Labels(&all)
	name := boundsOf(r.typ).label()
	// After a # TYPE line, the parser normalizes bounds. A new parser for the rest of a page does not know about this line, so the bounds are
	// normalized here.
	if text := all.Get(name); text != "" {
		if bound, err := strconv.ParseFloat(text, 64); err == nil {
			b := r.pool.builder
			b.Reset(all)
			b.Set(name, labels.FormatOpenMetricsFloat(bound))
			all = b.Labels()
		}
	}
	return all
}

func (r *Reader) parseError(err error) error {
	text := r.pool.options.Redact(err.Error()) // before the text is cut, so that no part of a secret remains
	return fmt.Errorf("parse error after %d samples: %s", r.cache.Scraped, printable(text))
}
