package sql

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// postgresSession is a connection. It uses the protocol directly: there, all values are texts, so a numeric keeps all its digits.
type postgresSession struct{ conn *pgconn.PgConn }

var errPostgresDSN = errors.New("dsn is not the address of a PostgreSQL database: " +
	"want postgres://user:password@host/database?sslmode=verify-full, or host=HOST user=USER password=PASSWORD dbname=NAME")

func (f *fetcher) openPostgres(ctx context.Context, dsn string) (session, error) {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, dsnError(errPostgresDSN, err)
	}
	f.secrets.Remember(config.Password)
	config.DialFunc = f.wire.dial
	config.MaxProtocolMessageBodyLen = int(f.config.MaxBytes) + handshake
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "cton"
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &postgresSession{conn}, nil
}

// begin sets the formats of times (ISO 8601) and of bytes (hexadecimal), so that they do not depend on the user's settings.
func (p *postgresSession) begin(ctx context.Context) error {
	return p.conn.Exec(ctx, "BEGIN READ ONLY; SET LOCAL DateStyle = ISO; SET LOCAL bytea_output = hex; "+
		"SET LOCAL extra_float_digits = 1").Close()
}

// query relies on pgconn, which sends a cancel request when ctx ends.
func (p *postgresSession) query(ctx context.Context, query string, args []any, into *table) error {
	rows := p.conn.ExecParams(ctx, query, asText(args), nil, nil, nil)
	if err := read(rows, into); err != nil {
		if _, ok := errors.AsType[*pgproto3.ExceededMaxBodyLenErr](err); ok {
			return into.tooLarge()
		}
		return err
	}
	if _, err := rows.Close(); err != nil {
		return err
	}
	return p.conn.Exec(ctx, "ROLLBACK").Close()
}

// read reads the rows. After an error, the connection cannot be used again, since the server may still send rows.
func read(rows *pgconn.ResultReader, into *table) error {
	fields, begun := rows.FieldDescriptions(), false
	for rows.NextRow() {
		if !begun {
			fields, begun = rows.FieldDescriptions(), true
			if err := into.begin(names(fields)); err != nil {
				return err
			}
		}
		values := rows.Values()
		if err := into.row(func(i int) { cell(fields[i].DataTypeOID, values[i], into) }); err != nil {
			return err
		}
	}
	if begun {
		return nil
	}
	if _, err := rows.Close(); err != nil {
		return err
	}
	return into.begin(names(rows.FieldDescriptions()))
}

func names(fields []pgconn.FieldDescription) []string {
	var all []string
	for _, f := range fields {
		all = append(all, string(f.Name))
	}
	return all
}

// asText converts the arguments to texts. The server derives their types from the query.
func asText(args []any) [][]byte {
	all := make([][]byte, len(args))
	for i, value := range args {
		if value != nil {
			all[i] = []byte(written(value))
		}
	}
	return all
}

// The object IDs of the types whose values are not converted to texts (PostgreSQL's pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidOid         = 26
	oidFloat4      = 700
	oidFloat8      = 701
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
)

func cell(oid uint32, text []byte, into *table) {
	if text == nil {
		into.null()
		return
	}
	switch oid {
	case oidBool:
		into.bool(string(text) == "t")
	case oidInt2, oidInt4, oidInt8, oidOid, oidFloat4, oidFloat8, oidNumeric:
		into.number(text)
	case oidTimestamp, oidTimestamptz:
		if t, ok := parseTime(string(text)); ok {
			into.time(t)
			return
		}
		into.text(text) // the value is infinity, or a year that RFC 3339 does not allow
	case oidBytea:
		if raw, err := hex.AppendDecode(nil, text[min(2, len(text)):]); err == nil {
			into.text(raw)
			return
		}
		into.text(text)
	default:
		into.text(text)
	}
}

func (p *postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = p.conn.Close(ctx) // an error is ignored, since nothing was written
}
