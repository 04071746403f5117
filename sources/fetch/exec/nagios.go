package exec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/collectington/collectington/sources"
)

// maxPerfdata is the maximum number of items of performance data of a check.
const maxPerfdata = 10_000

// check is the result of a plug-in of Nagios (https://nagios-plugins.org/doc/guidelines.html).
type check struct {
	ExitCode int        `json:"exit_code"`
	Status   string     `json:"status"` // ok, warning, critical or unknown, by the exit code
	Seconds  float64    `json:"seconds"`
	Text     *string    `json:"text"`      // the first line without performance data; nil = the output was cut off
	LongText string     `json:"long_text"` // the other lines without performance data
	Perfdata []perfdata `json:"perfdata"`
}

// perfdata is an item of performance data. Fields that the plug-in left out are nil.
type perfdata struct {
	Label    string       `json:"label"`
	Value    *json.Number `json:"value"` // nil = U: the check could not determine the value
	Unit     string       `json:"unit"`
	Warning  *string      `json:"warning"` // a range, such as 10 or 5:20
	Critical *string      `json:"critical"`
	Min      *json.Number `json:"min"`
	Max      *json.Number `json:"max"`
}

// checkResult returns the result of a plug-in as JSON. Items of its performance data that cannot be read are skipped.
func checkResult(e *ending, output []byte) (text []byte, skipped sources.Skipped, err error) {
	c := check{ExitCode: e.Code, Status: "unknown", Seconds: e.took.Seconds(), Perfdata: []perfdata{}}
	if e.Code >= 0 && e.Code < 3 {
		c.Status = []string{"ok", "warning", "critical"}[e.Code]
	}
	if e.cut == nil {
		first, data := c.texts(strings.ToValidUTF8(string(output), "\ufffd"))
		c.Text = &first
		skipped = c.measure(data)
	}
	text, err = json.Marshal(c)
	return text, skipped, err
}

// texts splits an output into its first line, the other lines (c.LongText) and performance data. Performance data is the text after the
// first | of the first line, and the text after the first | in the other lines.
func (c *check) texts(output string) (first, data string) {
	first, rest, _ := strings.Cut(strings.TrimRight(output, "\r\n"), "\n")
	first, data, _ = strings.Cut(first, "|")
	long, more, _ := strings.Cut(rest, "|")
	c.LongText = strings.TrimSpace(long)
	return strings.TrimSpace(first), data + "\n" + more
}

// measure reads performance data: 'label'=value[unit];[warning];[critical];[min];[max], separated by spaces.
func (c *check) measure(data string) (skipped sources.Skipped) {
	skip := func(item string) {
		skipped.Add(sources.Skipped{Items: 1, First: fmt.Errorf("invalid performance data %s: want label=value and a unit without digits, and spaces between items", sources.Excerpt([]byte(item), 40))})
	}
	for data = strings.TrimLeft(data, " \t\r\n"); data != ""; data = strings.TrimLeft(data, " \t\r\n") {
		if len(c.Perfdata) == maxPerfdata {
			skipped.Add(sources.Skipped{Items: 1, First: fmt.Errorf("more than %d items of performance data", maxPerfdata)})
			return skipped
		}
		label, rest, found := cutLabel(data)
		end := strings.IndexAny(rest, " \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		p, ok := readPerfdata(label, rest[:end])
		if !found || !ok {
			skip(data[:len(data)-len(rest)+end])
		} else {
			c.Perfdata = append(c.Perfdata, p)
		}
		data = rest[end:]
	}
	return skipped
}

// cutLabel cuts a label and the = after it from the beginning of data. The label may be in single quotes; a quote inside it is doubled. If
// there is no valid label, the result "found" is false.
func cutLabel(data string) (label, rest string, found bool) {
	if data[0] != '\'' {
		end := strings.IndexAny(data, "= \t\r\n")
		if end <= 0 || data[end] != '=' {
			return "", data, false
		}
		return data[:end], data[end+1:], true
	}
	var b strings.Builder
	for i := 1; i < len(data); i++ {
		switch {
		case data[i] != '\'':
			b.WriteByte(data[i])
		case i+1 < len(data) && data[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			rest, found = strings.CutPrefix(data[i+1:], "=")
			return b.String(), rest, found && b.Len() > 0
		}
	}
	return "", "", false // the quote is not closed
}

// isUnit reports whether a text can be a unit: it has no digit, semicolon or quote (https://nagios-plugins.org/doc/guidelines.html, section
// Performance data). It has no comma and no = either: they would be those of a second item, in a=1ms,b=2ms.
func isUnit(text string) bool { return !strings.ContainsAny(text, `0123456789;'",=`) }

// readPerfdata parses the text after the = of an item of performance data.
func readPerfdata(label, text string) (p perfdata, ok bool) {
	fields := append(strings.Split(text, ";"), "", "", "", "")
	p = perfdata{Label: label, Warning: some(fields[1]), Critical: some(fields[2]), Min: number(fields[3]), Max: number(fields[4])}
	digits := len(fields[0]) - len(strings.TrimLeft(fields[0], "+-0123456789.,eE"))
	for ; digits > 0; digits-- { // the unit may begin with e or E, which can also be part of a number
		if p.Value = number(fields[0][:digits]); p.Value != nil {
			p.Unit = fields[0][digits:]
			return p, isUnit(p.Unit)
		}
	}
	return p, fields[0] == "U"
}

// some returns a pointer to text, or nil if text is empty.
func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// maxDigits is the maximum length of a number, in bytes.
const maxDigits = 40

// number parses a number, and returns nil if text is not one. It accepts a decimal comma, which plug-ins write in some locales.
func number(text string) *json.Number {
	if len(text) > maxDigits {
		return nil
	}
	text = strings.Replace(text, ",", ".", 1)
	text = strings.TrimPrefix(text, "+")
	negative, unsigned := strings.HasPrefix(text, "-"), strings.TrimPrefix(text, "-")
	if strings.HasPrefix(unsigned, ".") {
		unsigned = "0" + unsigned
	}
	for len(unsigned) > 1 && unsigned[0] == '0' && unsigned[1] >= '0' && unsigned[1] <= '9' {
		unsigned = unsigned[1:]
	}
	unsigned = strings.TrimSuffix(unsigned, ".")
	if negative {
		unsigned = "-" + unsigned
	}
	if c := bytes.TrimLeft([]byte(unsigned), "-"); len(c) == 0 || c[0] < '0' || c[0] > '9' || !json.Valid([]byte(unsigned)) {
		return nil
	}
	n := json.Number(unsigned)
	return &n
}
