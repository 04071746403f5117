package sql

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// dsnError returns the error for a DSN that a driver does not accept. The result does not quote the DSN or the text of err, since a
// driver may quote the password.
func dsnError(wanted, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("dsn: %s: %v", e.Path, e.Err) // for example, a file of a certificate
	}
	return wanted
}

// explain returns the text of an error, with advice for the user if there is any.
func explain(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainPostgres(e)
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return explainMySQL(e)
	}
	if e, ok := errors.AsType[*sqliteError](err); ok {
		return explainSQLite(e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return fmt.Sprintf("%v: is the database running, and is its address in dsn right?", e)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("%v: is the host in dsn right?", e)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	if errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return "the database closed the connection"
	}
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Sprintf("connect to %s: %v", e.Config.Host, innermost(e))
	}
	return err.Error()
}

// innermost returns the error at the end of the chain of errors that err wraps. If errors are joined, it follows the first one.
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

// explainPostgres adds advice that depends on the error code (PostgreSQL's documentation, appendix A).
func explainPostgres(e *pgconn.PgError) string {
	text := fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	if e.Position > 0 {
		text = fmt.Sprintf("%s at character %d (SQLSTATE %s)", e.Message, e.Position, e.Code)
	}
	switch e.Code {
	case "28P01", "28000":
		text += ": check the user and password in dsn, and pg_hba.conf"
	case "42501":
		text += ": grant the user SELECT"
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

// explainMySQL adds advice that depends on the error number (the server error references of MySQL and MariaDB).
func explainMySQL(e *mysql.MySQLError) string {
	text := fmt.Sprintf("%s (error %d)", e.Message, e.Number)
	switch e.Number {
	case 1044, 1045, 1698:
		text += ": check the user and password in dsn"
	case 1142, 1143, 1370:
		text += ": grant the user SELECT"
	case 1792, 1290, 1836:
		text += ": the query may only read"
	case 1040, 1203, 1226:
		text += ": each job keeps one connection"
	}
	return text
}
