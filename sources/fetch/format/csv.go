package format

import (
	"bytes"
	"errors"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// maxColumns is the maximum number of columns, the same as in large spreadsheets.
const maxColumns = 16_384

// table decodes rows of cells to a list of objects, whose keys are the names of the columns. The format is that of RFC 4180. If "quotes" is
// false, the format is that of text/tab-separated-values. Cells are strings. A row must have a cell for each column: the cells of any other
// row could belong to other columns. A column without a name is left out.
func (d *Decoder) table(text []byte, delimiter byte, quotes bool) error {
	c := &cells{text: text, line: 1, delimiter: delimiter, comment: byte(d.set.CSV.Comment), quotes: quotes, trim: d.set.CSV.Trim, plain: d.quoted}
	c.returns = bytes.Count(text, []byte("\r")) > bytes.Count(text, []byte("\r\n"))
	defer func() { d.quoted = c.plain }()
	if err := c.skipLines(d.set.CSV.SkipLines); err != nil {
		return err
	}
	rows := min(bytes.Count(text, []byte("\n"))+1, len(text)/2+1)
	d.built.Reset(3*rows+2*bytes.Count(text, []byte{delimiter}), len(text))
	columns, err := d.columns(c)
	if err != nil {
		return err
	}
	c.returns = c.returns && len(columns) == 1 // with more columns, lines that end with \r have too many cells
	d.built.Begin(document.Array)
	for c.skip() {
		if err := d.row(c, columns); err != nil {
			return err
		}
	}
	d.built.End()
	return nil
}

func (d *Decoder) row(c *cells, columns []column) error {
	line, n := c.line, 0
	d.built.Begin(document.Object)
	for last := false; !last; n++ {
		var cell []byte
		var err error
		if cell, last, err = c.next(); err != nil {
			return err
		}
		if n == len(columns) {
			return inLine(line, "has more cells than the %d columns: a cell that contains the delimiter must be in quotes", n)
		}
		if columns[n].named {
			d.built.TextAt(columns[n].name)
			d.built.Text(cell)
		}
	}
	if n < len(columns) {
		return inLine(line, "has %d of %d cells: is it cut short, or csv.delimiter wrong?", n, len(columns))
	}
	d.built.End()
	return nil
}

// column is a column of a table.
type column struct {
	name  document.TextRef
	named bool
}

func (d *Decoder) column(name []byte) column { return column{d.built.Keep(name), len(name) > 0} }

// columns returns the columns, from the settings or the first row.
func (d *Decoder) columns(c *cells) (columns []column, err error) {
	set := d.set.CSV
	var header []column
	if set.Header {
		if !c.skip() {
			return nil, errors.New("is empty, want a first row with the names of the columns; for tables without one set csv.header: false and csv.columns")
		}
		if header, err = d.header(c, len(set.Columns) == 0); err != nil {
			return nil, err
		}
	}
	if len(set.Columns) == 0 {
		return header, nil
	}
	if set.Header && len(header) != len(set.Columns) {
		return nil, inLine(c.line-1, "the header has %d columns, csv.columns has %d", len(header), len(set.Columns))
	}
	for _, name := range set.Columns {
		columns = append(columns, d.column([]byte(name)))
	}
	return columns, nil
}

// header reads the row with the names of the columns. If the argument "used" is true, the names must be distinct, and at least one must not
// be empty.
func (d *Decoder) header(c *cells, used bool) (columns []column, err error) {
	line, seen := c.line, map[string]int{}
	for last := false; !last; {
		var name []byte
		if name, last, err = c.next(); err != nil {
			return nil, err
		}
		columns = append(columns, d.column(name))
		n := len(columns)
		switch first, again := seen[string(name)]; {
		case n > maxColumns:
			return nil, inLine(line, "has more than %d columns", maxColumns)
		case !used || len(name) == 0:
			continue
		case again:
			return nil, inLine(line, "columns %d and %d have the same name %s: set csv.columns", first, n, sources.Excerpt(name, 40))
		}
		seen[string(name)] = n
	}
	if used && len(seen) == 0 {
		return nil, inLine(line, "no column has a name: set csv.columns, or csv.skip_lines if the names are in a later line")
	}
	return columns, nil
}

// cells splits a table into cells.
type cells struct {
	text               []byte
	at, line           int
	delimiter, comment byte
	quotes, trim       bool
	returns            bool   // refuse a carriage return inside a cell: it may be the end of a line, and the text has one that is not of \r\n
	plain              []byte // the cell, if it differs from the text
}

// skipLines skips the first lines, whatever they contain.
func (c *cells) skipLines(n int) error {
	for range n {
		end := bytes.IndexByte(c.text[c.at:], '\n')
		if end < 0 {
			return inLine(c.line, "is the last line: want more than %d lines (csv.skip_lines)", n)
		}
		c.at += end + 1
		c.line++
	}
	return nil
}

// skip skips empty lines and comments. It reports whether there is another row.
func (c *cells) skip() bool {
	for c.at < len(c.text) {
		rest := c.text[c.at:]
		if !(c.comment != 0 && rest[0] == c.comment) && lineEnd(rest) == 0 {
			return true
		}
		n := bytes.IndexByte(rest, '\n')
		if n < 0 {
			return false
		}
		c.at += n + 1
		c.line++
	}
	return false
}

// lineEnd returns the length of the line break at the beginning of the text, or 0 if there is none.
func lineEnd(text []byte) int {
	switch {
	case text[0] == '\n':
		return 1
	case text[0] == '\r' && len(text) == 1:
		return 1
	case text[0] == '\r' && text[1] == '\n':
		return 2
	}
	return 0
}

// next returns the next cell of the row, and whether it is the last cell of the row. The cell is valid until the following call.
func (c *cells) next() (cell []byte, last bool, err error) {
	if c.trim {
		c.blanks()
		cell, last, err = c.cell()
		return bytes.Trim(cell, " \t"), last, err
	}
	return c.cell()
}

// blanks skips spaces and tabs, except the delimiter.
func (c *cells) blanks() {
	for c.at < len(c.text) && (c.text[c.at] == ' ' || c.text[c.at] == '\t') && c.text[c.at] != c.delimiter {
		c.at++
	}
}

func (c *cells) cell() (cell []byte, last bool, err error) {
	start := c.at
	if c.quotes && start < len(c.text) && c.text[start] == '"' {
		return c.quoted()
	}
	line := c.line
	cell, last, err = c.unquoted()
	if c.returns && bytes.IndexByte(cell, '\r') >= 0 { // the lines of one program may end with it, and those of another with \n
		return nil, false, inLine(line, `a carriage return (\r) inside the cell %s: let all lines end with \n or with \r\n`, sources.Excerpt(cell, 40))
	}
	return cell, last, err
}

// unquoted returns a cell that is not in quotes.
func (c *cells) unquoted() (cell []byte, last bool, err error) {
	start := c.at
	for i := start; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case b == c.delimiter:
			c.at = i + 1
			return c.text[start:i], false, nil
		case b == '\n':
			c.at = i + 1
			c.line++
			return bytes.TrimSuffix(c.text[start:i], []byte("\r")), true, nil
		case b == '"' && c.quotes:
			return nil, false, inLine(c.line, `a quote inside the cell %s: a cell that contains quotes must be in quotes, with the inner ones doubled`,
				sources.Excerpt(c.text[start:min(i+20, len(c.text))], 40))
		}
	}
	c.at = len(c.text)
	return bytes.TrimSuffix(c.text[start:], []byte("\r")), true, nil
}

// quoted returns a cell that is in quotes. Inside the cell, two quotes stand for one.
func (c *cells) quoted() (cell []byte, last bool, err error) {
	opened := c.line
	rest := c.text[c.at+1:]
	c.plain = c.plain[:0]
	for {
		n := bytes.IndexByte(rest, '"')
		if n < 0 {
			return nil, false, inLine(opened, "a quoted cell has no closing quote")
		}
		c.line += bytes.Count(rest[:n], []byte("\n"))
		if n+1 == len(rest) || rest[n+1] != '"' {
			cell, rest = rest[:n], rest[n+1:]
			break
		}
		c.plain = append(c.plain, rest[:n+1]...)
		rest = rest[n+2:]
	}
	if len(c.plain) > 0 {
		c.plain = append(c.plain, cell...)
		cell = c.plain
	}
	c.at = len(c.text) - len(rest)
	if c.trim {
		c.blanks()
		rest = c.text[c.at:]
	}
	switch {
	case len(rest) == 0:
		return cell, true, nil
	case lineEnd(rest) > 0:
		c.at += lineEnd(rest)
		c.line++
		return cell, true, nil
	case rest[0] == c.delimiter:
		c.at++
		return cell, false, nil
	}
	return nil, false, inLine(c.line, "want the delimiter or the end of the line after a closing quote, got %s", sources.Excerpt(rest, 20))
}
