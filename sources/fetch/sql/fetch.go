package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// maxIdle is how long a connection is kept for the next tick. After that, a timer closes it. The timer is needed because a fetcher
// is not notified when its job is removed.
const maxIdle = 5 * time.Minute

// closeTimeout is the time limit for ending a query or a connection on the server.
const closeTimeout = time.Second

// session is a connection to a database.
type session interface {
	// begin begins a read-only transaction. It returns an error if the server has closed the connection.
	begin(ctx context.Context) error
	// query runs the query in the transaction, and ends the transaction. When ctx ends, it returns soon, and also ends the query on
	// the server.
	query(ctx context.Context, query string, args []any, into *table) error
	close()
}

// fetcher runs one query. It keeps its connection and its memory for the next tick.
type fetcher struct {
	config  *Config
	secrets *setting.SecretStore
	show    func(section, line string) // nil = nothing is shown
	path    string                     // path of the SQLite file
	args    []argument
	wire    *wire
	rows    table
	doc     sources.Document

	mu    sync.Mutex // guards the fields below, which the timer also uses
	kept  session    // the kept connection; nil = none
	dsn   string     // the DSN with which kept was opened
	timer *time.Timer
}

// Fetch runs the query.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	if !r.IsZero() {
		return nil, sources.ErrFixedRequest
	}
	root, err := f.fetch(ctx, tick)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", f.config.Driver, f.clean(ctx, err))
	}
	f.doc = sources.Document{From: "query " + string(f.config.Driver), Root: root}
	return &f.doc, nil
}

func (f *fetcher) fetch(ctx context.Context, tick sources.Tick) (document.Value, error) {
	args, err := f.values(tick)
	if err != nil {
		return document.Value{}, err
	}
	begun := time.Now()
	f.wire.allow(int64(f.config.MaxBytes))
	s, dsn, err := f.begin(ctx)
	if err != nil {
		return document.Value{}, err
	}
	f.rows.maxRows, f.rows.maxBytes = f.config.MaxRows, int(f.config.MaxBytes)
	if err := s.query(ctx, f.config.Query, args, &f.rows); err != nil {
		s.close()
		return document.Value{}, err
	}
	f.keep(s, dsn)
	f.shown(args, time.Since(begun))
	return f.rows.end()
}

// begin begins a transaction in the kept connection. If there is no such connection, or it no longer works, a new connection is opened.
func (f *fetcher) begin(ctx context.Context) (session, string, error) {
	dsn := f.path
	if f.config.Driver != SQLite {
		var err error
		if dsn, err = f.secrets.Text(f.config.DSN); err != nil {
			return nil, "", err
		}
	}
	if s := f.take(dsn); s != nil {
		if s.begin(ctx) == nil {
			return s, dsn, nil
		}
		s.close()
	}
	s, err := f.open(ctx, dsn)
	if err != nil {
		return nil, "", err
	}
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, "", err
	}
	return s, dsn, nil
}

func (f *fetcher) open(ctx context.Context, dsn string) (session, error) {
	switch f.config.Driver {
	case Postgres:
		return f.openPostgres(ctx, dsn)
	case MySQL:
		return f.openMySQL(ctx, dsn)
	}
	return openSQLite(ctx, dsn, int(f.config.MaxBytes))
}

// keep keeps a connection for the next tick. An SQLite file is closed instead, since the file may be replaced before the next tick.
func (f *fetcher) keep(s session, dsn string) {
	if f.config.Driver == SQLite {
		s.close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.dsn = s, dsn
	f.timer = time.AfterFunc(maxIdle, f.close)
}

// take returns the kept connection, or nil if there is none for this DSN.
func (f *fetcher) take(dsn string) session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		return nil
	}
	f.timer.Stop()
	s := f.kept
	f.kept = nil
	if f.dsn != dsn {
		s.close()
		return nil
	}
	return s
}

// close closes the kept connection.
func (f *fetcher) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept != nil {
		f.timer.Stop()
		f.kept.close()
		f.kept = nil
	}
}

// clean returns an error whose text is one line, with advice and without secrets. If ctx has ended, it returns the cause of the end
// instead.
func (f *fetcher) clean(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*limitError](err); ok {
		return e
	}
	if f.wire.isSpent() {
		return f.rows.tooLarge()
	}
	return errors.New(text.Cut(text.OneLine(f.secrets.Scrub(explain(err))), maxShown))
}

// maxShown is the maximum length to which a database's error is cut, in bytes.
const maxShown = 500

// shown passes the query, the arguments and the number of rows to the function f.show.
func (f *fetcher) shown(args []any, took time.Duration) {
	if f.show == nil {
		return
	}
	line := strings.TrimSpace(f.config.Query)
	for i, value := range args {
		line += fmt.Sprintf("\n%d: %s", i+1, written(value))
	}
	f.show("query", fmt.Sprintf("%s\n%d rows in %s", line, f.rows.rows, took.Round(time.Millisecond)))
}
