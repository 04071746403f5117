package rules

import "strings"

// machine is what the evaluations of one tick share.
type machine struct {
	now     float64         // the tick's time, as jq's now has it
	texts   strings.Builder // what has been made of texts; earlier views of it stay as they are
	visited int             // items of lists and objects
}

// maxTexts bounds the texts of a tick that live until its end, in bytes; beyond it they are jq's, which drops them earlier.
const maxTexts = 64 << 20

func (m *machine) begin(now float64) {
	size := min(m.texts.Len(), maxTexts)
	*m = machine{now: now}
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
