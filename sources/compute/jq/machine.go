package jq

import (
	"strings"

	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/sources"
)

// machine is what the evaluations of one tick share.
type machine struct {
	now       float64         // the tick's time, as jq's now has it
	variables []any           // what code is run with: see Expr
	texts     strings.Builder // what has been made of texts; earlier views of it stay as they are
	rests     []rest          // those of computed texts; pointers to earlier ones stay good
	visited   int             // items of lists and objects
}

// Bounds on the texts of a tick that live until its end; beyond them they are jq's, which drops them earlier.
const (
	maxTexts = 64 << 20 // bytes
	maxRests = 1 << 20
)

func (m *machine) begin(tick sources.Tick) {
	size := min(m.texts.Len(), maxTexts)
	now, w := jq.Epoch(tick.Time), windowOf(tick)
	clear(m.rests)
	*m = machine{rests: m.rests[:0], now: now, variables: []any{now, seconds(w.start), seconds(w.end)}}
	m.texts.Grow(size)
}

// text is a text as a value.
func (m *machine) text(s string) (value, bool) {
	if len(m.rests) == maxRests {
		return value{}, false
	}
	m.rests = append(m.rests, rest{text: s})
	return value{form: text, rest: &m.rests[len(m.rests)-1]}, true
}

// keep is the text of two.
func (m *machine) keep(a, b string) (value, bool) {
	from := m.texts.Len()
	if from+len(a)+len(b) > maxTexts {
		return value{}, false
	}
	m.texts.WriteString(a)
	m.texts.WriteString(b)
	return m.text(m.texts.String()[from:])
}

// lower is the text with the letters of ASCII made small.
func (m *machine) lower(s string) (value, bool) {
	from := m.texts.Len()
	if from+len(s) > maxTexts {
		return value{}, false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		m.texts.WriteByte(c)
	}
	return m.text(m.texts.String()[from:])
}
