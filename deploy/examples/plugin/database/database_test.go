package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

// fake is a driver with one table of one row. It has the name of the real driver, which the test cannot download.
type fake struct {
	behavior *sourcetest.Behavior
	dsn      string
}

func (f fake) Open(dsn string) (driver.Conn, error) { return fake{f.behavior, dsn}, nil }
func (f fake) Prepare(string) (driver.Stmt, error)  { return nil, errors.New("not used") }
func (f fake) Begin() (driver.Tx, error)            { return nil, errors.New("not used") }
func (f fake) Close() error                         { return nil }
func (f fake) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	switch *f.behavior {
	case sourcetest.Fails:
		return nil, errors.New("login failed for " + f.dsn)
	case sourcetest.Hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &oneRow{}, nil
}

type oneRow struct{ done bool }

func (*oneRow) Columns() []string { return []string{"status", "n", "size"} }
func (*oneRow) Close() error      { return nil }
func (r *oneRow) Next(into []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	into[0], into[1], into[2] = "new", int64(3), []byte("1.50")
	return nil
}

func TestSuite(t *testing.T) {
	behavior := new(sourcetest.Behavior)
	sql.Register("sqlserver", fake{behavior: behavior})
	sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
		*behavior = 0
		env, logged := sourcetest.FetcherEnv(t.TempDir())
		c := &Config{Driver: "sqlserver", DSN: "env:SQLSERVER_URL", Query: "SELECT 1", MaxRows: 10}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		f, err := c.New(env)
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.FetcherPeer{Fetcher: f, Behave: func(b sourcetest.Behavior) { *behavior = b }, Fixed: true, Logged: logged}
	})
}
