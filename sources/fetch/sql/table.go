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

// table makes the document of rows: a list of objects, a column's name kept once. It keeps its memory from tick to tick.
type table struct {
	maxRows, maxBytes int

	doc     document.Builder
	columns []document.Place
	rows    int
	cell    []byte // one cell as text
}

var errNoColumns = errors.New("the query has no columns: want a statement that reads, such as SELECT")

// bound says which bound the rows have passed. It stands before what a driver then says of a connection that breaks off.
type bound struct{ text string }

func (b *bound) Error() string { return b.text }

func (t *table) tooLarge() error {
	return &bound{fmt.Sprintf("the rows exceed max_bytes (%s): ask for fewer rows or columns", setting.Bytes(t.maxBytes))}
}

// begin begins the document.
func (t *table) begin(columns []string) error {
	if len(columns) == 0 {
		return errNoColumns
	}
	t.doc.Reset(0, 0)
	t.doc.Begin(document.Array)
	t.columns, t.rows = t.columns[:0], 0
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			return fmt.Errorf("two columns are called %q: name one of them otherwise with AS", name)
		}
		t.columns = append(t.columns, t.doc.Keep(t.valid([]byte(name))))
	}
	return nil
}

// row adds a row; add adds the cell of a column.
func (t *table) row(add func(column int)) error {
	if t.rows++; t.rows > t.maxRows {
		return &bound{fmt.Sprintf("the query has more than max_rows (%d) rows: count or sum in the query, or bound it by the window", t.maxRows)}
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

// end is the document.
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

// number adds a number with all its digits. What JSON does not take for one, such as NaN, is text.
func (t *table) number(text []byte) {
	if !t.doc.Number(text) {
		t.text(text)
	}
}

func (t *table) integer(v int64) { t.number(strconv.AppendInt(t.cell[:0], v, 10)) }

func (t *table) unsigned(v uint64) { t.number(strconv.AppendUint(t.cell[:0], v, 10)) }

// float adds the shortest number that is v in so many bits.
func (t *table) float(v float64, bits int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		t.text(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
		return
	}
	t.number(strconv.AppendFloat(t.cell[:0], v, 'g', -1, bits))
}

// time adds a time as RFC 3339 in UTC.
func (t *table) time(v time.Time) { t.text(v.UTC().AppendFormat(t.cell[:0], time.RFC3339Nano)) }

// text adds bytes as text, in base64 (RFC 4648, section 4) where they are not UTF-8.
func (t *table) text(v []byte) { t.doc.Text(t.valid(v)) }

func (t *table) valid(v []byte) []byte {
	if utf8.Valid(v) {
		return v
	}
	t.cell = base64.StdEncoding.AppendEncode(t.cell[:0], v)
	return t.cell
}
