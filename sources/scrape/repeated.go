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
// numbers is to be read. It tells whether there were any; what comes then is the parser's.
func (r *reader) repeated() (any bool, err error) {
	for t := r.t; t.next < len(t.before) && err == nil; any = true {
		e := t.before[t.next]
		n := int(e.length)
		if n >= len(r.rest) || e.outdated(t) || e.hash != maphash.Bytes(r.seed, r.rest[:n]) {
			break
		}
		line, end := r.rest[:n], r.rest[n:]
		value, size, ok := e.ending(end)
		if !ok {
			break
		}
		t.next++
		r.rest = end[size:]
		if e.kind >= told {
			r.retold(e)
		} else if e, err = r.open(e, line, nil, false); e != nil {
			e.set(value)
		}
	}
	return any, err
}

// ending reads what stands behind that of a line which stays as it is: a number, or nothing. It is not ok where there is
// anything else, or not all of the line.
func (e *entry) ending(text []byte) (value float64, size int, ok bool) {
	switch {
	case e.kind >= told:
		return 0, 1, text[0] == '\n'
	case text[0] == ' ':
		value, size, ok = decimal(text[1:])
	}
	return value, size + 1, ok
}

// retold takes what is told of a family as it was told before.
func (r *reader) retold(e *entry) {
	if e.kind == typed {
		r.typ = e.meta.typ
	}
	e.meta.seen, r.current = r.scrape, e.meta
	r.see(e)
}

// tells remembers a line that tells something of a family, given its name in that line.
func (r *reader) tells(name []byte, m *meta, what kind) {
	if r.begin == nil {
		return
	}
	at := cap(r.body) - cap(name)
	start, end := bytes.LastIndexByte(r.body[:at], '\n')+1, len(r.body)-len(r.rest)-1
	if end < at || r.body[end] != '\n' {
		return // it is the last one, and has no end
	}
	hash := maphash.Bytes(r.seed, r.body[start:end])
	e := r.known(hash, end-start)
	if e == nil {
		e = &entry{hash: hash, length: uint32(end - start)}
		r.index.add(e)
	}
	e.kind, e.meta, e.version = what, m, m.version
	r.see(e)
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
