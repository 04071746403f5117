package sql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteSession is an open SQLite file.
type sqliteSession struct{ conn *sqliteConn }

const (
	// minLength and maxLength are the smallest and the largest limit for the length of a value. With a limit below minLength, SQLite
	// could not read its own rows, such as those of the schema.
	minLength = 1 << 20
	maxLength = 1_000_000_000

	// maxBusy is the longest time that a query waits while another process writes.
	maxBusy = time.Second
)

// openSQLite opens a file for reading. The file must exist.
func openSQLite(ctx context.Context, path string, maxBytes int) (session, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	wait := maxBusy
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)+interruptEvery)
	}
	conn, err := openReadOnly(path, min(max(maxBytes, minLength), maxLength), wait)
	if err != nil {
		return nil, err
	}
	return &sqliteSession{conn}, nil
}

// begin does nothing: each statement is its own transaction, and the file is opened read-only.
func (s *sqliteSession) begin(context.Context) error { return nil }

func (s *sqliteSession) close() { s.conn.close() }

func (s *sqliteSession) query(ctx context.Context, query string, args []any, into *table) error {
	stmt, err := s.prepare(query)
	if err != nil {
		return err
	}
	defer stmt.close()
	if err := bindSQLite(stmt, args); err != nil {
		return err
	}
	names, types := stmt.columns()
	if err := into.begin(names); err != nil {
		return err
	}
	defer s.conn.interruptAfter(ctx)()
	for ctx.Err() == nil {
		row, err := stmt.step()
		if err != nil || !row {
			return err
		}
		if err := into.row(func(i int) { sqliteCell(stmt, i, types[i], into) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// prepare compiles the query. The query must be a single statement that only reads.
func (s *sqliteSession) prepare(query string) (*sqliteStmt, error) {
	stmt, rest, err := s.conn.prepare(query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return nil, errNoColumns
	case !stmt.readOnly():
		err = errors.New("the query writes: only a statement that reads is allowed, such as SELECT")
	default:
		second, _, e := s.conn.prepare(rest)
		if second != nil {
			second.close()
		}
		if second != nil || e != nil {
			err = errors.New("the query has more than one statement: want one")
		}
	}
	if err != nil {
		stmt.close()
		return nil, err
	}
	return stmt, nil
}

// bindSQLite sets the values of the placeholders. It checks their number, since SQLite would use NULL for a missing value.
func bindSQLite(stmt *sqliteStmt, args []any) error {
	if want := stmt.placeholders(); want != len(args) {
		return fmt.Errorf("the query has %d placeholders, but args has %d values", want, len(args))
	}
	for i, value := range args {
		if t, ok := value.(time.Time); ok {
			value = t.UTC().Format(time.DateTime) // the format of datetime(), so that comparing the texts compares the times
		}
		if err := stmt.bind(i+1, value); err != nil {
			return err
		}
	}
	return nil
}

// sqliteCell adds a cell. SQLite has no types for times and booleans. So only the declared type of the column tells that a value is a time
// or a boolean. The argument "declared" is in upper case.
func sqliteCell(stmt *sqliteStmt, column int, declared string, into *table) {
	switch stmt.kind(column) {
	case sqlite3.SQLITE_NULL:
		into.null()
	case sqlite3.SQLITE_INTEGER:
		v := stmt.integer(column)
		if (declared == "BOOLEAN" || declared == "BOOL") && (v == 0 || v == 1) {
			into.bool(v == 1)
			return
		}
		into.integer(v)
	case sqlite3.SQLITE_FLOAT:
		into.float(stmt.float(column), 64)
	default:
		v := stmt.bytes(column)
		if declared == "DATETIME" || declared == "TIMESTAMP" {
			if t, ok := parseTime(string(v)); ok {
				into.time(t)
				return
			}
		}
		into.text(v)
	}
}

// explainSQLite adds advice that depends on the result code (https://sqlite.org/rescode.html).
func explainSQLite(e *sqliteError) string {
	switch {
	case e.is(sqlite3.SQLITE_BUSY), e.is(sqlite3.SQLITE_LOCKED):
		return fmt.Sprintf("%s by a writer for more than %s: keep its transactions short, or set journal_mode to WAL, so that readers do not wait", e.text, maxBusy)
	case e.is(sqlite3.SQLITE_CANTOPEN):
		return e.text + ": the agent needs permission to read it; in WAL mode also to write in its directory"
	case e.is(sqlite3.SQLITE_READONLY):
		return e.text + ": its last writer did not finish: open it once for writing"
	case e.is(sqlite3.SQLITE_TOOBIG):
		return e.text + ": a value is larger than max_bytes"
	}
	return e.text
}
