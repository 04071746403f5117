package scrape

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/textparse"
)

// maxAhead is how far a sample's own time may lie ahead of the tick, as in Prometheus.
const maxAhead = 10 * 60 * 1000 // milliseconds

// Bounds on what a page may have, whatever is made of it.
const (
	maxLines    = 1_000_000
	maxFamilies = 100_000
)

// reader goes through one page.
type reader struct {
	*source
	t       *target
	p       textparse.Parser
	format  string // the media type
	current *meta  // of the family at hand
	example exemplar.Exemplar

	// Of a text.
	body   []byte
	failed error                              // of the lines that were taken before there was a parser
	begin  func(rest []byte) textparse.Parser // makes a parser of what is left of it; nil = it is no text
	rest   []byte                             // what is left of it, but for comments that tell nothing
	typ    model.MetricType                   // that was told last
}

// meta is what a page says of a family.
type meta struct {
	name, help, unit string
	typ              model.MetricType
	version          uint32 // counts changes
	seen             uint32
}

const (
	textFormat  = "text/plain"
	openMetrics = "application/openmetrics-text"
	protobuf    = "application/vnd.google.protobuf"
)

func (s *source) reader(t *target) *reader { return &reader{source: s, t: t, format: textFormat} }

// take reads a target's page into its entries. An error spoils the whole scrape.
func (s *source) take(t *target, p page) error {
	r := p.reader
	if r.failed != nil {
		return r.failed
	}
	if p.kind != "" { // a page without a type is taken for text
		kind, _, err := mime.ParseMediaType(p.kind)
		if err != nil || kind != textFormat && kind != openMetrics && kind != protobuf {
			return fmt.Errorf("want metrics, got %.60q: is it a login or error page?", p.kind)
		}
		r.format = kind
	}
	p.body = slices.Grow(p.body, 1) // where the parser puts a last newline, or else a copy of all
	parser, err := textparse.New(p.body, p.kind, nil, textparse.ParserOptions{
		KeepClassicOnClassicAndNativeHistograms: true, IgnoreNativeHistograms: !r.set.NativeHistograms, FallbackContentType: textFormat,
	})
	if parser == nil {
		return fmt.Errorf("the page's format: %w", short(err))
	}
	r.p = parser
	r.lines(p.body)
	if err := r.all(); err != nil {
		return err
	}
	if r.format == textFormat && !wholly(r.rest) {
		return r.broken(errors.New("a zero byte"))
	}
	t.settle(s)
	return nil
}

// wholly tells whether a text was read to its end, given what is left behind the last line that said something:
// Prometheus' parser takes a zero byte for the end, where it does not stand in a label's value or a comment.
func wholly(rest []byte) bool {
	for line := range bytes.Lines(rest) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

func (r *reader) all() error {
	for {
		if any, err := r.repeated(); err != nil {
			return err
		} else if any {
			r.p = r.begin(r.rest)
		}
		what, err := r.p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.broken(err)
		}
		switch what {
		case textparse.EntryType:
			name, typ := r.p.Type()
			r.typ = typ
			m := r.meta(name)
			if m.typ != typ {
				m.typ = typ
				m.version++
			}
			r.tells(name, m, typed)
		case textparse.EntryHelp:
			name, help := r.p.Help()
			m := r.meta(name)
			if m.help != string(help) {
				m.help = string(help)
				m.version++
			}
			r.tells(name, m, told)
		case textparse.EntryUnit:
			name, unit := r.p.Unit()
			m := r.meta(name)
			if m.unit != string(unit) {
				m.unit = string(unit)
				m.version++
			}
			r.tells(name, m, told)
		case textparse.EntrySeries:
			err = r.number()
		case textparse.EntryHistogram:
			err = r.native()
		}
		if err != nil {
			return err
		}
		if r.t.scraped > maxLines || len(r.t.metas) > maxFamilies {
			return fmt.Errorf("the page has more than %d samples or %d families", maxLines, maxFamilies)
		}
	}
}

// meta is that of the family of this name.
func (r *reader) meta(name []byte) *meta {
	r.read(name)
	if m := r.current; m != nil && m.name == string(name) {
		return m
	}
	m := r.t.metas[string(name)]
	if m == nil {
		m = &meta{name: string(name), typ: model.MetricTypeUnknown}
		r.t.metas[m.name] = m
		r.t.generation++
	}
	m.seen = r.scrape
	r.current = m
	return m
}

func (r *reader) broken(err error) error {
	text := r.env.Web.Secrets.Scrub(err.Error()) // before it is cut
	return fmt.Errorf("the page is broken after %d samples: %s", r.t.scraped, printable(text))
}
