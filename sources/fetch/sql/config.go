// Package sql fetches the rows of a query as a document. It supports PostgreSQL, MySQL, MariaDB and SQLite.
package sql

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "sql",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{MaxRows: 100_000, MaxBytes: 64 << 20}
	},
	Example: example,
}

// Config holds the settings of the sql fetcher. The job's timeout limits the time of the query.
type Config struct {
	Driver Driver       `yaml:"driver"`
	DSN    setting.Text `yaml:"dsn" setting:"path"` // a reference to a secret; for SQLite a path, relative to the configuration's folder
	Query  string       `yaml:"query" setting:"verbatim"`
	Args   []any        `yaml:"args" setting:"text"` // only scalars; strings are templates

	MaxRows  int           `yaml:"max_rows"`
	MaxBytes setting.Bytes `yaml:"max_bytes"` // limit for all rows together
}

// Driver is the type of the database.
type Driver string

// The drivers.
const (
	Postgres Driver = "postgres"
	MySQL    Driver = "mysql"
	SQLite   Driver = "sqlite"
)

// Words returns all values that the setting can have, for cton explain.
func (Driver) Words() []string { return []string{string(Postgres), string(MySQL), string(SQLite)} }

// UnmarshalText parses the name of a driver.
func (d *Driver) UnmarshalText(text []byte) error {
	switch Driver(text) {
	case Postgres, MySQL, SQLite:
		*d = Driver(text)
		return nil
	}
	return errors.New("want postgres, mysql (also for MariaDB) or sqlite")
}

// Validate returns every problem of the settings.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	if c.Driver == "" {
		bad("driver", "is required: postgres, mysql (also for MariaDB) or sqlite")
	}
	switch {
	case c.DSN == "" && c.Driver == SQLite:
		bad("dsn", "is required: the path of the database file")
	case c.DSN == "":
		bad("dsn", "is required: a reference to the secret that holds the database's address, such as env:DATABASE_URL")
	case c.Driver == SQLite && (c.DSN.IsReference() || strings.HasPrefix(string(c.DSN), "file:")):
		bad("dsn", "for sqlite, want the path of the database file, such as /var/lib/jobs.db")
	case c.Driver != SQLite && !c.DSN.IsReference():
		bad("dsn", `a secret must not be written here: refer to it by "env:NAME", "file:/path" or "file:/path#KEY"`)
	}
	switch {
	case strings.TrimSpace(c.Query) == "":
		bad("query", "is required: one statement that reads, such as SELECT")
	case strings.Contains(c.Query, "{{"):
		bad("query", "must not contain a template: write $1 (postgres) or ? for a value, and put the value in args")
	case strings.Contains(c.Query, "\x00"):
		bad("query", "contains a zero byte")
	}
	for i, value := range c.Args {
		if _, err := newArgument(value); err != nil {
			bad(fmt.Sprintf("args.%d", i), "%v", err)
		}
	}
	if c.MaxRows < 1 {
		bad("max_rows", "want at least 1")
	}
	if c.MaxBytes <= 0 || c.MaxBytes > maxBytes {
		bad("max_bytes", "want more than 0, at most %s", setting.Bytes(maxBytes))
	}
	return errors.Join(problems...)
}

// maxBytes is the largest allowed value of the setting max_bytes. Values in a row of SQLite or PostgreSQL cannot be longer either.
const maxBytes = 1 << 30

// New returns the fetcher. It connects to the database at the first tick.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	f := &fetcher{config: c, secrets: env.Web.Secrets, show: env.Show, wire: newWire(env.Web.Dial)}
	if c.Driver == SQLite {
		if f.path = string(c.DSN); !filepath.IsAbs(f.path) {
			f.path = filepath.Join(env.Dir, f.path)
		}
	}
	for i, value := range c.Args {
		a, err := newArgument(value)
		if err != nil {
			return nil, setting.Errorf(fmt.Sprintf("args.%d", i), "%v", err)
		}
		f.args = append(f.args, a)
	}
	return f, nil
}

// Identity implements sources.Identifier. It contains the reference to the DSN, not the DSN itself.
func (c *Config) Identity() string {
	return fmt.Sprintf("%s %q %q %#v", c.Driver, c.DSN, c.Query, c.Args)
}
