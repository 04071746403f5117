package sql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDB is an open file. It is SQLite's own interface (https://sqlite.org/c3ref/intro.html) and not the one of
// database/sql above it, which opens for writing too and cannot interrupt a query that has given its first row.
type sqliteDB struct {
	tls *libc.TLS
	db  uintptr
	own []uintptr // memory that SQLite is given, which is freed at the end
}

// leastLength is what SQLite's own rows, such as those of the schema, may be long.
const leastLength = 1 << 20

// busyFor is how long a query waits for a writer, at most.
const busyFor = time.Second

// openSQLite opens a file for reading. It must be there.
func openSQLite(ctx context.Context, path string, maxBytes int) (session, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	}
	s := &sqliteDB{tls: libc.NewTLS()}
	place := s.place()
	rc := sqlite3.Xsqlite3_open_v2(s.tls, s.text(path), place, sqlite3.SQLITE_OPEN_READONLY, 0)
	s.db = pointerAt(place)
	if rc != sqlite3.SQLITE_OK {
		err := s.failure(rc)
		s.close()
		return nil, err
	}
	sqlite3.Xsqlite3_extended_result_codes(s.tls, s.db, 1)
	sqlite3.Xsqlite3_limit(s.tls, s.db, sqlite3.SQLITE_LIMIT_LENGTH, int32(min(max(maxBytes, leastLength), 1_000_000_000)))
	wait := busyFor
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)+again)
	}
	sqlite3.Xsqlite3_busy_timeout(s.tls, s.db, int32(wait.Milliseconds()))
	return s, nil
}

// begin does nothing: a statement is a transaction of its own, and the file is open for reading alone.
func (s *sqliteDB) begin(context.Context) error { return nil }

func (s *sqliteDB) close() {
	sqlite3.Xsqlite3_close_v2(s.tls, s.db)
	for _, p := range s.own {
		libc.Xfree(s.tls, p)
	}
	s.tls.Close()
}

func (s *sqliteDB) query(ctx context.Context, query string, args []any, into *table) error {
	stmt, err := s.prepare(query)
	if err != nil {
		return err
	}
	defer sqlite3.Xsqlite3_finalize(s.tls, stmt)
	if err := s.bind(stmt, args); err != nil {
		return err
	}
	names := make([]string, sqlite3.Xsqlite3_column_count(s.tls, stmt))
	types := make([]string, len(names)) // as they are declared; "" of an expression
	for i := range names {
		names[i] = libc.GoString(sqlite3.Xsqlite3_column_name(s.tls, stmt, int32(i)))
		types[i] = strings.ToUpper(libc.GoString(sqlite3.Xsqlite3_column_decltype(s.tls, stmt, int32(i))))
	}
	if err := into.begin(names); err != nil {
		return err
	}
	defer s.interruptAtEnd(ctx)()
	for ctx.Err() == nil {
		switch rc := sqlite3.Xsqlite3_step(s.tls, stmt); rc {
		case sqlite3.SQLITE_DONE:
			return nil
		case sqlite3.SQLITE_ROW:
			if err := into.row(func(i int) { s.cell(stmt, i, types[i], into) }); err != nil {
				return err
			}
		default:
			return s.failure(rc)
		}
	}
	return ctx.Err()
}

// prepare compiles the query, which must be one statement that reads.
func (s *sqliteDB) prepare(query string) (stmt uintptr, err error) {
	place, tail := s.place(), s.place()
	if rc := sqlite3.Xsqlite3_prepare_v2(s.tls, s.db, s.text(query), -1, place, tail); rc != sqlite3.SQLITE_OK {
		return 0, s.failure(rc)
	}
	if stmt = pointerAt(place); stmt == 0 {
		return 0, errNoColumns
	}
	rc := sqlite3.Xsqlite3_prepare_v2(s.tls, s.db, pointerAt(tail), -1, place, 0)
	second := pointerAt(place)
	sqlite3.Xsqlite3_finalize(s.tls, second)
	switch {
	case sqlite3.Xsqlite3_stmt_readonly(s.tls, stmt) == 0:
		err = errors.New("the query writes, and may only read")
	case rc != sqlite3.SQLITE_OK || second != 0:
		err = errors.New("there is more behind the query's first statement: want one")
	}
	if err != nil {
		sqlite3.Xsqlite3_finalize(s.tls, stmt)
	}
	return stmt, err
}

// bind gives the placeholders their values. SQLite would take what is missing for NULL.
func (s *sqliteDB) bind(stmt uintptr, args []any) error {
	if want := int(sqlite3.Xsqlite3_bind_parameter_count(s.tls, stmt)); want != len(args) {
		return fmt.Errorf("the query has %d placeholders, and args has %d values", want, len(args))
	}
	for i, value := range args {
		at, rc := int32(i+1), int32(sqlite3.SQLITE_OK)
		switch v := value.(type) {
		case nil:
		case bool:
			rc = sqlite3.Xsqlite3_bind_int64(s.tls, stmt, at, int64(libc.Bool32(v)))
		case int64:
			rc = sqlite3.Xsqlite3_bind_int64(s.tls, stmt, at, v)
		case float64:
			rc = sqlite3.Xsqlite3_bind_double(s.tls, stmt, at, v)
		case time.Time: // as datetime() and CURRENT_TIMESTAMP write it, so that texts compare as times do
			rc = s.bindText(stmt, at, v.UTC().Format(time.DateTime))
		case string:
			rc = s.bindText(stmt, at, v)
		}
		if rc != sqlite3.SQLITE_OK {
			return s.failure(rc)
		}
	}
	return nil
}

func (s *sqliteDB) bindText(stmt uintptr, at int32, text string) int32 {
	return sqlite3.Xsqlite3_bind_text(s.tls, stmt, at, s.text(text), int32(len(text)), sqlite3.SQLITE_TRANSIENT)
}

// cell adds a cell. What a column is declared as tells only times and booleans from texts and integers.
func (s *sqliteDB) cell(stmt uintptr, column int, declared string, into *table) {
	i := int32(column)
	switch sqlite3.Xsqlite3_column_type(s.tls, stmt, i) {
	case sqlite3.SQLITE_NULL:
		into.null()
	case sqlite3.SQLITE_INTEGER:
		v := sqlite3.Xsqlite3_column_int64(s.tls, stmt, i)
		if (declared == "BOOLEAN" || declared == "BOOL") && (v == 0 || v == 1) {
			into.bool(v == 1)
			return
		}
		into.integer(v)
	case sqlite3.SQLITE_FLOAT:
		into.float(sqlite3.Xsqlite3_column_double(s.tls, stmt, i), 64)
	default:
		p := sqlite3.Xsqlite3_column_blob(s.tls, stmt, i)
		text := libc.GoBytes(p, int(sqlite3.Xsqlite3_column_bytes(s.tls, stmt, i)))
		if declared == "DATETIME" || declared == "TIMESTAMP" {
			if t, ok := parseTime(string(text)); ok {
				into.time(t)
				return
			}
		}
		into.text(text)
	}
}

// again is how soon an interrupt is repeated: one that comes just before a step begins is lost.
const again = 10 * time.Millisecond

// interruptAtEnd has the query end with ctx; what it returns is to be called when the query has ended.
func (s *sqliteDB) interruptAtEnd(ctx context.Context) func() {
	over, done := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		tls := libc.NewTLS() // one belongs to one goroutine
		defer tls.Close()
		for {
			sqlite3.Xsqlite3_interrupt(tls, s.db)
			select {
			case <-over:
				return
			case <-time.After(again):
			}
		}
	})
	return func() {
		if close(over); !stop() {
			<-done
		}
	}
}

// text is a zero-terminated copy for SQLite. Without memory for it SQLite gets none, and says so.
func (s *sqliteDB) text(text string) uintptr {
	p, err := libc.CString(text)
	if err != nil {
		return 0
	}
	s.own = append(s.own, p)
	return p
}

// place is where SQLite is to put a pointer, which pointerAt reads.
func (s *sqliteDB) place() uintptr { return s.text(string(make([]byte, unsafe.Sizeof(uintptr(0))))) }

func pointerAt(place uintptr) uintptr {
	bytes := libc.GoBytes(place, int(unsafe.Sizeof(uintptr(0))))
	return *(*uintptr)(unsafe.Pointer(unsafe.SliceData(bytes)))
}

// sqliteError is a result code (https://sqlite.org/rescode.html) with what SQLite says of it.
type sqliteError struct {
	code int32
	text string
}

func (e *sqliteError) Error() string { return e.text }

func (s *sqliteDB) failure(rc int32) error {
	return &sqliteError{rc, libc.GoString(sqlite3.Xsqlite3_errmsg(s.tls, s.db))}
}
