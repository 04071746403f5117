// Package sql fetches the rows of a query as a document.
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

// Kind is the sql fetcher.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "sql",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{MaxRows: 100_000, MaxBytes: 64 << 20}
	},
	Example: example,
}

// Config says what to ask which database. There is no time-out here: the job's bounds the whole tick.
type Config struct {
	Driver Driver       `yaml:"driver"`
	DSN    setting.Text `yaml:"dsn"` // a reference to a secret; of SQLite a path, relative to the configuration file's folder
	Query  string       `yaml:"query"`
	Args   []any        `yaml:"args"` // scalars; texts are templates

	MaxRows  int           `yaml:"max_rows"`
	MaxBytes setting.Bytes `yaml:"max_bytes"` // of all rows together
}

// Driver is the kind of a database.
type Driver string

// The drivers.
const (
	Postgres Driver = "postgres"
	MySQL    Driver = "mysql"
	SQLite   Driver = "sqlite"
)

// UnmarshalText reads a name.
func (d *Driver) UnmarshalText(text []byte) error {
	switch Driver(text) {
	case Postgres, MySQL, SQLite:
		*d = Driver(text)
		return nil
	}
	return errors.New("want postgres, mysql (for MariaDB too) or sqlite")
}

// Validate names every problem by its setting.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	if c.Driver == "" {
		bad("driver", "is needed: postgres, mysql (for MariaDB too) or sqlite")
	}
	switch {
	case c.DSN == "" && c.Driver == SQLite:
		bad("dsn", "is needed: the path of the database's file")
	case c.DSN == "":
		bad("dsn", "is needed: where a secret with the database's address is, such as env:DATABASE_URL")
	case c.Driver == SQLite && (c.DSN.IsReference() || strings.HasPrefix(string(c.DSN), "file:")):
		bad("dsn", "of sqlite is the path of the database's file and nothing else, such as /var/lib/jobs.db")
	case c.Driver != SQLite && !c.DSN.IsReference():
		bad("dsn", `a secret must not be written here: refer to it by "env:NAME", "file:/path" or "file:/path#KEY"`)
	}
	switch {
	case strings.TrimSpace(c.Query) == "":
		bad("query", "is needed: one statement that reads")
	case strings.Contains(c.Query, "{{"):
		bad("query", "is no template, so that no value can change what it says: write $1 (postgres) or ? for a value, and the value into args")
	case strings.Contains(c.Query, "\x00"):
		bad("query", "holds a zero byte")
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

// maxBytes is what SQLite and PostgreSQL have as the longest value.
const maxBytes = 1 << 30

// New makes the fetcher. It connects at its first tick.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	f := &fetcher{set: c, secrets: env.Web.Secrets, show: env.Show, wire: newWire(env.Web.Dial)}
	if c.Driver == SQLite {
		if f.path = string(c.DSN); !filepath.IsAbs(f.path) {
			f.path = filepath.Join(env.Dir, f.path)
		}
	}
	for i, value := range c.Args {
		a, err := newArgument(value)
		if err != nil {
			return nil, setting.Bad(fmt.Sprintf("args.%d", i), "%v", err)
		}
		f.args = append(f.args, a)
	}
	return f, nil
}

// Identity implements sources.Identifier: what is asked. Who asks, and where the database is, stands in a secret.
func (c *Config) Identity() string {
	return fmt.Sprintf("%s %q %q %#v", c.Driver, c.DSN, c.Query, c.Args)
}
