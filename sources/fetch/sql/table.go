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

// table builds the document of the rows: a list of objects. It keeps its memory from tick to tick.
type table struct {
	maxRows, maxBytes int

	doc     document.Builder
	columns []document.TextRef
	rows    int
	cell    []byte // the text of a cell
}

var errNoColumns = errors.New("the query returns no columns: want a statement that reads, such as SELECT")

// limitError is an error about a limit of the rows. It takes precedence over the error that the driver returns then.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

func (t *table) tooLarge() error {
	return &limitError{fmt.Sprintf("the rows exceed max_bytes (%s): select fewer rows or columns", setting.Bytes(t.maxBytes))}
}

// begin begins the document. The names of the columns have to differ.
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

// row adds a row. It calls add for each column, which adds one cell.
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

// number adds a number with all its digits. What is not a JSON number, such as NaN, becomes a string.
func (t *table) number(text []byte) {
	if !t.doc.Number(text) {
		t.text(text)
	}
}

func (t *table) integer(v int64) { t.number(strconv.AppendInt(t.cell[:0], v, 10)) }

func (t *table) unsigned(v uint64) { t.number(strconv.AppendUint(t.cell[:0], v, 10)) }

// float adds the shortest number that reads back as v.
func (t *table) float(v float64, bits int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		t.text(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
		return
	}
	t.number(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
}

// time adds a time in RFC 3339 and UTC.
func (t *table) time(v time.Time) { t.text(v.UTC().AppendFormat(t.cell[:0], time.RFC3339Nano)) }

// text adds a string. Bytes that are not UTF-8 become base64 (RFC 4648, section 4).
func (t *table) text(v []byte) { t.doc.Text(t.valid(v)) }

func (t *table) valid(v []byte) []byte {
	if utf8.Valid(v) {
		return v
	}
	t.cell = base64.StdEncoding.AppendEncode(t.cell[:0], v)
	return t.cell
}

// parseTime parses a date and time as databases write them, with or without an offset. Without an offset it is UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05",
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00:00", "2006-01-02 15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil { // accepts fractions of a second with any layout
			return t, true
		}
	}
	return time.Time{}, false
}
