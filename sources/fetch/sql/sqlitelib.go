package sql

import (
	"context"
	"strings"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteConn is a connection to a file through SQLite's C interface (https://sqlite.org/c3ref/intro.html). Pointers of this
// interface are only used in this file.
//
// Go drivers for SQLite are not used because modernc.org/sqlite cannot interrupt a query after its first row, and
// zombiezen.com/go/sqlite does not return the declared types of columns.
type sqliteConn struct {
	tls *libc.TLS
	db  uintptr
	own []uintptr // memory that is freed when the connection is closed
}

// sqliteStmt is a compiled statement. It must be closed before its connection.
type sqliteStmt struct {
	conn *sqliteConn
	ptr  uintptr
}

// openReadOnly opens a file for reading. Queries return an error if a value is longer than maxLength bytes, or if the file stays
// locked for longer than maxWait.
func openReadOnly(path string, maxLength int, maxWait time.Duration) (*sqliteConn, error) {
	c := &sqliteConn{tls: libc.NewTLS()}
	db := c.pointer()
	code := sqlite3.Xsqlite3_open_v2(c.tls, c.text(path), db, sqlite3.SQLITE_OPEN_READONLY, 0)
	c.db = pointerAt(db) // also set after an error, since it has the text of the error
	if code != sqlite3.SQLITE_OK {
		err := c.error(code)
		c.close()
		return nil, err
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	sqlite3.Xsqlite3_limit(c.tls, c.db, sqlite3.SQLITE_LIMIT_LENGTH, int32(maxLength))
	sqlite3.Xsqlite3_limit(c.tls, c.db, sqlite3.SQLITE_LIMIT_ATTACHED, 0)
	sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, int32(maxWait.Milliseconds()))
	return c, nil
}

func (c *sqliteConn) close() {
	sqlite3.Xsqlite3_close_v2(c.tls, c.db)
	for _, p := range c.own {
		libc.Xfree(c.tls, p)
	}
	c.tls.Close()
}

// prepare compiles the first statement of a query. The result "rest" is the text after the statement. The result "stmt" is nil if there is
// no statement.
func (c *sqliteConn) prepare(query string) (stmt *sqliteStmt, rest string, err error) {
	text, compiled, tail := c.text(query), c.pointer(), c.pointer()
	if code := sqlite3.Xsqlite3_prepare_v2(c.tls, c.db, text, -1, compiled, tail); code != sqlite3.SQLITE_OK {
		return nil, "", c.error(code)
	}
	rest = query[pointerAt(tail)-text:]
	if p := pointerAt(compiled); p != 0 {
		stmt = &sqliteStmt{c, p}
	}
	return stmt, rest, nil
}

// interruptEvery is the interval at which an interrupt is repeated. This is needed because SQLite ignores an interrupt that comes
// just before a statement starts.
const interruptEvery = 10 * time.Millisecond

// interruptAfter interrupts the running statement when ctx ends. The caller must call stop after the statement has ended.
func (c *sqliteConn) interruptAfter(ctx context.Context) (stop func()) {
	ended, interrupted := make(chan struct{}), make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		tls := libc.NewTLS() // a TLS must only be used by one goroutine
		defer tls.Close()
		for {
			sqlite3.Xsqlite3_interrupt(tls, c.db)
			select {
			case <-ended:
				return
			case <-time.After(interruptEvery):
			}
		}
	})
	return func() {
		if close(ended); !cancel() {
			<-interrupted
		}
	}
}

func (s *sqliteStmt) close() { sqlite3.Xsqlite3_finalize(s.conn.tls, s.ptr) }

// readOnly reports whether the statement changes no file.
func (s *sqliteStmt) readOnly() bool { return sqlite3.Xsqlite3_stmt_readonly(s.conn.tls, s.ptr) != 0 }

// columns returns the names of the columns, and their declared types in upper case. The type of an expression is "".
func (s *sqliteStmt) columns() (names, types []string) {
	for i := range sqlite3.Xsqlite3_column_count(s.conn.tls, s.ptr) {
		names = append(names, libc.GoString(sqlite3.Xsqlite3_column_name(s.conn.tls, s.ptr, i)))
		types = append(types, strings.ToUpper(libc.GoString(sqlite3.Xsqlite3_column_decltype(s.conn.tls, s.ptr, i))))
	}
	return names, types
}

// placeholders returns the number of placeholders.
func (s *sqliteStmt) placeholders() int {
	return int(sqlite3.Xsqlite3_bind_parameter_count(s.conn.tls, s.ptr))
}

// bind sets the value of a placeholder: nil, bool, int64, float64 or string. The first placeholder has the number 1.
func (s *sqliteStmt) bind(placeholder int, value any) error {
	tls, at, code := s.conn.tls, int32(placeholder), int32(sqlite3.SQLITE_OK)
	switch v := value.(type) {
	case bool:
		code = sqlite3.Xsqlite3_bind_int64(tls, s.ptr, at, int64(libc.Bool32(v)))
	case int64:
		code = sqlite3.Xsqlite3_bind_int64(tls, s.ptr, at, v)
	case float64:
		code = sqlite3.Xsqlite3_bind_double(tls, s.ptr, at, v)
	case string:
		code = sqlite3.Xsqlite3_bind_text(tls, s.ptr, at, s.conn.text(v), int32(len(v)), sqlite3.SQLITE_TRANSIENT)
	}
	if code != sqlite3.SQLITE_OK {
		return s.conn.error(code)
	}
	return nil
}

// step reads the next row. It reports whether there is one.
func (s *sqliteStmt) step() (bool, error) {
	switch code := sqlite3.Xsqlite3_step(s.conn.tls, s.ptr); code {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.conn.error(code)
	}
}

// kind returns the type of a cell in the current row.
func (s *sqliteStmt) kind(column int) int32 {
	return sqlite3.Xsqlite3_column_type(s.conn.tls, s.ptr, int32(column))
}

func (s *sqliteStmt) integer(column int) int64 {
	return sqlite3.Xsqlite3_column_int64(s.conn.tls, s.ptr, int32(column))
}

func (s *sqliteStmt) float(column int) float64 {
	return sqlite3.Xsqlite3_column_double(s.conn.tls, s.ptr, int32(column))
}

// bytes returns the text or blob in a cell. It is valid until the next call of step.
func (s *sqliteStmt) bytes(column int) []byte {
	p := sqlite3.Xsqlite3_column_blob(s.conn.tls, s.ptr, int32(column))
	return libc.GoBytes(p, int(sqlite3.Xsqlite3_column_bytes(s.conn.tls, s.ptr, int32(column))))
}

// text returns a copy of s that ends with a zero byte. It returns 0 if there is no memory; SQLite then returns an error.
func (c *sqliteConn) text(s string) uintptr {
	p, err := libc.CString(s)
	if err != nil {
		return 0
	}
	c.own = append(c.own, p)
	return p
}

// pointer returns memory in which SQLite stores a pointer. pointerAt reads the pointer.
func (c *sqliteConn) pointer() uintptr {
	return c.text(string(make([]byte, unsafe.Sizeof(uintptr(0)))))
}

func pointerAt(p uintptr) uintptr {
	bytes := libc.GoBytes(p, int(unsafe.Sizeof(uintptr(0))))
	return *(*uintptr)(unsafe.Pointer(unsafe.SliceData(bytes)))
}

// sqliteError is an error of SQLite, with the result code.
type sqliteError struct {
	code int32
	text string
}

func (e *sqliteError) Error() string { return e.text }

// is reports whether the error has this result code, or an extended result code that belongs to it.
func (e *sqliteError) is(code int32) bool { return e.code&0xff == code }

func (c *sqliteConn) error(code int32) error {
	return &sqliteError{code, libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))}
}
