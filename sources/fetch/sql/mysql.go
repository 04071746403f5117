package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlSession is a connection. The connector makes a second connection, which is needed to end a query.
type mysqlSession struct {
	connector driver.Connector
	db        *sql.DB // has one connection
	tx        *sql.Tx
	id        uint64 // the server's ID of the connection
}

var errMySQLDSN = errors.New("dsn is not the address of a MySQL database: want user:password@tcp(host:3306)/database?tls=true")

func (f *fetcher) openMySQL(_ context.Context, dsn string) (session, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, dsnError(errMySQLDSN, err)
	}
	f.secrets.RememberLogin(config.User, config.Passwd)
	config.DialFunc = f.wire.dial
	config.Logger = &mysql.NopLogger{}
	config.ParseTime = true
	// Otherwise a server could ask for files of this machine, and a second statement could end the transaction.
	config.AllowAllFiles, config.MultiStatements = false, false
	if config.Params["time_zone"] == "" && config.Loc == time.UTC {
		if config.Params == nil {
			config.Params = map[string]string{}
		}
		config.Params["time_zone"] = "'+00:00'" // the time zone of TIMESTAMP values
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, dsnError(errMySQLDSN, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return &mysqlSession{connector: connector, db: db}, nil
}

// begin makes the whole session read-only, not only the transaction. A statement such as DROP TABLE first commits the transaction
// (MySQL reference, 15.3.3, implicit commit), and would then be executed.
func (m *mysqlSession) begin(ctx context.Context) (err error) {
	if _, err := m.db.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY"); err != nil {
		return err
	}
	if m.tx, err = m.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return err
	}
	return m.tx.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&m.id)
}

func (m *mysqlSession) query(ctx context.Context, query string, args []any, into *table) error {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		m.kill()
	})
	err := m.read(ctx, query, args, into)
	if !stop() {
		<-killed
	}
	return errors.Join(err, m.tx.Rollback())
}

func (m *mysqlSession) read(ctx context.Context, query string, args []any, into *table) error {
	rows, err := m.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	names := make([]string, len(types))
	values, targets := make([]any, len(types)), make([]any, len(types))
	for i, t := range types {
		names[i], targets[i] = t.Name(), &values[i]
	}
	if err := into.begin(names); err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := into.row(func(i int) { mysqlCell(types[i].DatabaseTypeName(), values[i], into) }); err != nil {
			return err
		}
	}
	if rows.Err() == nil && rows.NextResultSet() {
		return errors.New("the query has several result sets: want one")
	}
	return rows.Err()
}

func mysqlCell(kind string, value any, into *table) {
	switch v := value.(type) {
	case nil:
		into.null()
	case int64:
		into.integer(v)
	case uint64:
		into.unsigned(v)
	case float32:
		into.float(float64(v), 32)
	case float64:
		into.float(v, 64)
	case time.Time:
		switch {
		case v.IsZero():
			into.null() // the value is 0000-00-00
		case kind == "DATE":
			into.text([]byte(v.Format(time.DateOnly)))
		default:
			into.time(v)
		}
	case []byte:
		switch {
		case kind == "DECIMAL" || strings.HasSuffix(kind, "INT"):
			into.number(v)
		case kind == "BIT" && len(v) <= 8:
			var bits [8]byte
			copy(bits[8-len(v):], v)
			into.unsigned(binary.BigEndian.Uint64(bits[:]))
		default:
			into.text(v)
		}
	}
}

// kill ends the query on the server. Without it, the query would continue after its connection is closed.
func (m *mysqlSession) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	db := sql.OpenDB(m.connector)
	defer db.Close()
	_, _ = db.ExecContext(ctx, "KILL QUERY ?", m.id) // an error is ignored, since the query may already have ended
}

func (m *mysqlSession) close() { _ = m.db.Close() } // an error is ignored, since nothing was written
