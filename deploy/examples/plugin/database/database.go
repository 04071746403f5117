// Package database provides a fetcher for any database with a driver for database/sql, such as SQL Server. The program that uses it
// imports the driver. The document is a list of objects, one for each row.
package database

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind describes the fetcher for the agent's catalogue of kinds.
var Kind = sources.Kind[sources.Fetcher]{
	Name:     "database",
	Defaults: func() sources.Config[sources.Fetcher] { return &Config{MaxRows: 10_000} },
	Example:  example,
}

// Config is the settings of the fetcher. The job's timeout limits the time of the query.
type Config struct {
	Driver  string         `yaml:"driver"` // the name with which the driver registers itself
	DSN     setting.Secret `yaml:"dsn"`
	Query   string         `yaml:"query" setting:"verbatim"`
	MaxRows int            `yaml:"max_rows"` // more rows fail the run
}

// Validate returns all problems of the settings.
func (c *Config) Validate() error {
	var problems []error
	if !slices.Contains(sql.Drivers(), c.Driver) {
		problems = append(problems, setting.Errorf("driver", "this program has the drivers %v", sql.Drivers()))
	}
	if c.DSN == "" {
		problems = append(problems, setting.Errorf("dsn", "is required: a reference to the database's address, such as env:DATABASE_URL"))
	}
	if c.Query == "" {
		problems = append(problems, setting.Errorf("query", "is required: one statement that reads, such as SELECT"))
	}
	if c.MaxRows < 1 {
		problems = append(problems, setting.Errorf("max_rows", "want at least 1"))
	}
	return errors.Join(problems...)
}

// New makes the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	return &fetcher{config: c, secrets: env.Web.Secrets}, nil
}

type fetcher struct {
	config  *Config
	secrets *setting.SecretStore
	parser  sources.Parser // reuses its memory for each document
}

// Fetch runs the query.
func (f *fetcher) Fetch(ctx context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
	if !r.IsZero() {
		return nil, sources.ErrFixedRequest
	}
	from := "query " + f.config.Driver
	rows, err := f.query(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", from, f.secrets.Scrub(err.Error()))
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return f.parser.JSON(from, text)
}

// query returns the rows as objects. It opens a connection for each run.
func (f *fetcher) query(ctx context.Context) ([]map[string]any, error) {
	dsn, err := f.secrets.Secret(f.config.DSN)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(f.config.Driver, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, f.config.Query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := []map[string]any{}
	for rows.Next() {
		if len(all) == f.config.MaxRows {
			return nil, fmt.Errorf("more than max_rows (%d) rows", f.config.MaxRows)
		}
		cells, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			targets[i] = &cells[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, name := range columns {
			if text, ok := cells[i].([]byte); ok { // DECIMAL and MONEY too
				cells[i] = string(text)
			}
			row[name] = cells[i]
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
