package sources

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/metric"
)

// Document is the decoded result of a fetch, and where it came from.
type Document struct {
	From string // where the document came from, for messages: "GET https://api.example.com/v1"
	Root document.Value
	// Single names the setting that turns a single element into a list, such as xml.lists. It is empty if the format itself tells a list of
	// one item from the item.
	Single string
	Skipped

	// Answer identifies the answer that the document was made from. Documents of different fetches have the same Answer if they were made
	// from the same answer, which was used again: a response from the cache (cache_for), or a file that has not changed. What the answer
	// adds to a total is then not added again (see metric.Answer). 0 = the answer is new.
	Answer uint64
}

// JoinAnswers returns the Answer of a document that is made from several answers and of other text. It is the same if all of these
// are the same. It is 0 if one of the answers is 0.
func JoinAnswers(answers []uint64, text ...[]byte) uint64 {
	if len(answers) == 0 || slices.Contains(answers, 0) {
		return 0
	}
	sum := fnv.New64a()
	for _, answer := range answers {
		sum.Write(binary.LittleEndian.AppendUint64(nil, answer))
	}
	for _, t := range text {
		sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(t))))
		sum.Write(t)
	}
	return sum.Sum64() | 1
}

// Skipped describes items that are missing in a document. They are counted for each metric that is computed from the document.
type Skipped struct {
	Items int   // number of items that could not be fetched; 0 = the document is complete
	First error // the error for the first missing item
}

// Add adds the missing items of another document.
func (s *Skipped) Add(other Skipped) {
	if s.Items == 0 {
		s.First = other.First
	}
	s.Items += other.Items
}

// Count adds the missing items to the dropped readings of a metric, unless the metric has an error.
func (s Skipped) Count(m *metric.Measured) {
	if s.Items > 0 && m.Err == nil {
		m.Drops = append(m.Drops, metric.Drop{Reason: metric.Skipped, Count: s.Items, First: s.First.Error()})
	}
}

// Parser decodes documents. It reuses its memory, so a document is only valid until the next one is decoded. The zero value is
// ready to use.
type Parser struct {
	json document.Parser
	doc  Document
}

// Lenient sets whether comments, commas after the last item, NaN and Infinity are allowed: see document.Parser.Lenient.
func (p *Parser) Lenient(is bool) { p.json.Lenient = is }

// JSON decodes a JSON text in UTF-8, with or without a byte order mark. The body must not change while the document is in
// use. Nesting is bounded by document.MaxDepth.
func (p *Parser) JSON(from string, body []byte) (*Document, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	root, err := p.json.Parse(body)
	if err != nil {
		return nil, notJSON(body, err)
	}
	p.doc = Document{From: from, Root: root}
	return &p.doc, nil
}

func notJSON(body []byte, err error) error {
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return errors.New("want JSON, got an empty body")
	case isUTF16(body):
		return errors.New("want JSON in UTF-8, got UTF-16 or UTF-32")
	case text[0] == '<':
		return fmt.Errorf("want JSON, got markup that begins with %s: is it a login or error page?", Excerpt(text, 40))
	case text[0] != '{' && text[0] != '[':
		return fmt.Errorf("want JSON, got text that begins with %s", Excerpt(text, 40))
	case errors.Is(err, document.ErrShort):
		return fmt.Errorf("the JSON is cut short: it ends with %s after %d bytes", excerptEnd(text, 40), len(body))
	}
	if e, ok := errors.AsType[*document.SyntaxError](err); ok && e.Want == "the end" && (body[e.At] == '{' || body[e.At] == '[') {
		return fmt.Errorf("the JSON has a second document at byte %d, %s: set format: ndjson for a list of them", e.At, Excerpt(body[e.At:], 40))
	} else if ok {
		return fmt.Errorf("the JSON is broken at byte %d, before %s: want %s%s", e.At, Excerpt(body[e.At:], 40), e.Want, lenientHint(e, body[e.At:]))
	}
	return fmt.Errorf("the JSON is %w", err)
}

// lenientHint returns a hint to set json.lenient if this setting would allow what is wrong, and otherwise "". The argument "rest" is the
// text from the position of the error on.
func lenientHint(e *document.SyntaxError, rest []byte) string {
	lastComma := rest[0] == ']' && e.Want == "a value" || rest[0] == '}' && e.Want == "a key in quotes"
	for _, begin := range []string{"NaN", "Infinity", "//", "/*"} {
		if lastComma || bytes.HasPrefix(rest, []byte(begin)) {
			return "; json: {lenient: true} allows NaN, Infinity, comments, and a comma after the last item"
		}
	}
	return ""
}

// isUTF16 reports whether body is in UTF-16 or UTF-32: it begins with a byte order mark, or one of its first two bytes is zero. JSON
// always begins with an ASCII character, which has a zero byte beside it in these encodings.
func isUTF16(body []byte) bool {
	return len(body) >= 2 && (body[0] == 0xff && body[1] == 0xfe || body[0] == 0xfe && body[1] == 0xff ||
		body[0] == 0 || body[1] == 0)
}

// Excerpt returns the beginning of a text, at most max bytes, as a quoted string.
func Excerpt(text []byte, max int) string {
	if len(text) <= max {
		return strconv.Quote(string(text))
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return strconv.Quote(string(text[:max])) + "…"
}

func excerptEnd(text []byte, max int) string {
	if len(text) > max {
		text = text[len(text)-max:]
		for len(text) > 0 && !utf8.RuneStart(text[0]) {
			text = text[1:]
		}
	}
	return strconv.Quote(string(text))
}
