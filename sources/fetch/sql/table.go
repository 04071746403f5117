package sql

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
)

// table builds the document with the rows, which is a list of objects. It reuses its memory in each tick.
type table struct {
	maxRows, maxBytes int

	doc     document.Builder
	columns []document.TextRef
	rows    int
	cell    []byte // memory for the text of a cell
}

var errNoColumns = errors.New("the query returns no columns: want a statement that reads, such as SELECT")

// limitError is the error if a limit for rows is exceeded. It is reported in place of the error that the driver then returns.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

func (t *table) tooLarge() error {
	return &limitError{fmt.Sprintf("the rows exceed max_bytes (%s): select fewer rows or columns", setting.Bytes(t.maxBytes))}
}

// begin begins the document. The names of the columns must all be different.
func (t *table) begin(columns []string) error {
	if len(columns) == 0 {
		return errNoColumns
	}
	t.doc.Reset(0, 0)
	t.doc.Begin(document.Array)
	t.columns, t.rows = t.columns[:0], 0
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			return fmt.Errorf("two columns have the name %q: rename one of them with AS", name)
		}
		t.columns = append(t.columns, t.doc.Keep(t.valid([]byte(name))))
	}
	return nil
}

// row adds a row. For each column, it calls the function "add", which must add one cell.
func (t *table) row(add func(column int)) error {
	if t.rows++; t.rows > t.maxRows {
		return &limitError{fmt.Sprintf("the query has more than max_rows (%d) rows: aggregate in the query, or limit it to the window", t.maxRows)}
	}
	t.doc.Begin(document.Object)
	for i, name := range t.columns {
		t.doc.TextAt(name)
		add(i)
	}
	t.doc.End()
	if t.doc.Bytes() > t.maxBytes {
		return t.tooLarge()
	}
	return nil
}

// end returns the document.
func (t *table) end() (document.Value, error) {
	t.doc.End()
	return t.doc.Value()
}

func (t *table) null() { t.doc.Literal(document.Null) }

func (t *table) bool(v bool) {
	if v {
		t.doc.Literal(document.True)
		return
	}
	t.doc.Literal(document.False)
}

// number adds a number with all its digits. A text that is not a number in JSON, such as NaN, is added as a string.
func (t *table) number(text []byte) {
	if !t.doc.Number(text) {
		t.text(text)
	}
}

func (t *table) integer(v int64) { t.number(strconv.AppendInt(t.cell[:0], v, 10)) }

func (t *table) unsigned(v uint64) { t.number(strconv.AppendUint(t.cell[:0], v, 10)) }

// float adds v as the shortest number that is parsed as v again.
func (t *table) float(v float64, bits int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		t.text(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
		return
	}
	t.number(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
}

// time adds a time in RFC 3339, in UTC.
func (t *table) time(v time.Time) { t.text(v.UTC().AppendFormat(t.cell[:0], time.RFC3339Nano)) }

// text adds a string. If the bytes are not valid UTF-8, it adds them in base64 (RFC 4648, section 4).
func (t *table) text(v []byte) { t.doc.Text(t.valid(v)) }

func (t *table) valid(v []byte) []byte {
	if utf8.Valid(v) {
		return v
	}
	t.cell = base64.StdEncoding.AppendEncode(t.cell[:0], v)
	return t.cell
}

// parseTime parses a date and time in the formats that databases use. If there is no offset, the time is in UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05",
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00:00", "2006-01-02 15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil { // every layout also accepts fractions of a second
			return t, true
		}
	}
	return time.Time{}, false
}
