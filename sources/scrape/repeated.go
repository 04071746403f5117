package scrape

import (
	"bytes"
	"hash/maphash"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// lines opens the page for what is read without a parser, if it is a text.
func (r *reader) lines(body []byte) {
	symbols := labels.NewSymbolTable()
	switch r.p.(type) {
	case *textparse.PromParser:
		r.begin = func(rest []byte) textparse.Parser { return textparse.NewPromParser(rest, symbols, false) }
	case *textparse.OpenMetricsParser:
		r.begin = func(rest []byte) textparse.Parser { return textparse.NewOpenMetricsParser(rest, symbols) }
	default:
		return
	}
	r.body, r.rest = body, body
}

// read notes how far the parser has read: it was a part of the page's line that it has read last.
func (r *reader) read(part []byte) {
	if r.begin == nil {
		return
	}
	_, r.rest, _ = bytes.Cut(r.body[cap(r.body)-cap(part)+len(part):], []byte("\n"))
}

// repeated takes the lines that follow each other as in the last page, but for their numbers: of them, nothing but the
// numbers is to be read. What comes then is the parser's.
func (r *reader) repeated() error {
	t, first := r.t, true
	for ; t.next < len(t.before); first = false {
		e := t.before[t.next]
		n := int(e.length)
		if n >= len(r.rest) || r.rest[n] != ' ' || e.outdated(t) || e.hash != maphash.Bytes(r.seed, r.rest[:n]) {
			break
		}
		value, size, ok := decimal(r.rest[n+1:])
		if !ok {
			break
		}
		raw := r.rest[:n]
		r.rest = r.rest[n+1+size:]
		t.next++
		if e, err := r.open(e, raw, nil, false); err != nil {
			return err
		} else if e != nil {
			e.set(value)
		}
	}
	if !first {
		r.p = r.begin(r.rest)
	}
	return nil
}

// decimal reads the number that the rest of a line is, and the line's end. Where that is anything else, it is not ok.
func decimal(text []byte) (value float64, size int, ok bool) {
	whole := 0 // while all of it is digits
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' && i < 15: // a float holds so many
			whole = 10*whole + int(c-'0')
		case c == '\n' && i > 0:
			return float64(whole), i + 1, true
		default:
			return float(text)
		}
	}
	return 0, 0, false
}

// maxNumber is how many bytes a number may have. A longer one is the parser's.
const maxNumber = 32

func float(text []byte) (value float64, size int, ok bool) {
	end := bytes.IndexByte(text[:min(len(text), maxNumber)], '\n')
	if end < 0 || bytes.ContainsAny(text[:end], "pP_") { // which Prometheus does not take
		return 0, 0, false
	}
	value, err := strconv.ParseFloat(string(text[:end]), 64)
	return value, end + 1, err == nil
}
