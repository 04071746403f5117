package rules

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
	visited   int             // items of lists and objects
}

// maxTexts bounds the texts of a tick that live until its end, in bytes; beyond it they are jq's, which drops them earlier.
const maxTexts = 64 << 20

func (m *machine) begin(tick sources.Tick) {
	size := min(m.texts.Len(), maxTexts)
	now, w := jq.Epoch(tick.Time), windowOf(tick)
	*m = machine{now: now, variables: []any{now, seconds(w.start), seconds(w.end)}}
	m.texts.Grow(size)
}

// keep is the text of two.
func (m *machine) keep(a, b string) (value, bool) {
	from := m.texts.Len()
	if from+len(a)+len(b) > maxTexts {
		return value{}, false
	}
	m.texts.WriteString(a)
	m.texts.WriteString(b)
	return textValue(m.texts.String()[from:]), true
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
	return textValue(m.texts.String()[from:]), true
}
