package sql

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

// dsnError is what is wrong with a DSN without the DSN, of which a driver may show more than it should.
func dsnError(what, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("dsn: %s: %v", e.Path, e.Err) // a certificate or the like
	}
	return what
}

// remedy is an error's text, with what to do about it.
func remedy(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return ofPostgres(e)
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return ofMySQL(e)
	}
	if e, ok := errors.AsType[*sqliteError](err); ok {
		return ofSQLite(e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return fmt.Sprintf("%v: is the database at the address in dsn, and does it listen?", e)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("%v: is the host in dsn right?", e)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	if errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return "the database has ended the connection"
	}
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Sprintf("connect to %s: %v", e.Config.Host, innermost(e))
	}
	return err.Error()
}

// innermost is what an error wraps at last, the first of several.
func innermost(err error) error {
	for {
		var next error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				next = all[0]
			}
		}
		if next == nil {
			return err
		}
		err = next
	}
}

// ofPostgres goes by the error's code (PostgreSQL's documentation, appendix A).
func ofPostgres(e *pgconn.PgError) string {
	text := fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	if e.Position > 0 {
		text = fmt.Sprintf("%s at character %d (SQLSTATE %s)", e.Message, e.Position, e.Code)
	}
	switch e.Code {
	case "28P01", "28000":
		text += ": look at the user and password in dsn, and at pg_hba.conf"
	case "42501":
		text += ": grant the login SELECT"
	case "42P01", "3F000":
		text += ": name the schema too, or set search_path"
	case "25006":
		text += ": the query may only read"
	case "42P18", "42725":
		text += ": cast the placeholder, as in $1::timestamptz"
	case "53300":
		text += ": each job keeps one connection"
	default:
		if e.Hint != "" {
			text += ": " + e.Hint
		}
	}
	return text
}

// ofMySQL goes by the error's number (MySQL's and MariaDB's references of server errors).
func ofMySQL(e *mysql.MySQLError) string {
	text := fmt.Sprintf("%s (error %d)", e.Message, e.Number)
	switch e.Number {
	case 1044, 1045, 1698:
		text += ": look at the user and password in dsn"
	case 1142, 1143, 1370:
		text += ": grant the login SELECT"
	case 1792, 1290, 1836:
		text += ": the query may only read"
	case 1040, 1203, 1226:
		text += ": each job keeps one connection"
	}
	return text
}

func ofSQLite(e *sqliteError) string {
	switch e.code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Sprintf("%s by a writer for more than %s: make its transactions short, or set journal_mode to WAL, with which readers do not wait",
			e.text, busyFor.Round(time.Second))
	case sqlite3.SQLITE_CANTOPEN:
		return e.text + ": may the agent read it? In WAL mode it must also be able to write in the file's folder"
	case sqlite3.SQLITE_READONLY:
		return e.text + ": its last writer broke off: open it once for writing"
	case sqlite3.SQLITE_TOOBIG:
		return e.text + ": a cell is larger than max_bytes"
	}
	return e.text
}
