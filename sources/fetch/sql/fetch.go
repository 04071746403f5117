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

// idle is how long a connection that nobody uses is kept for the next tick. It closes itself, since nobody tells a
// fetcher that its job is gone.
const idle = 5 * time.Minute

// lastly is how long it may take to say farewell to a database.
const lastly = time.Second

// session is a connection to a database.
type session interface {
	// begin begins a read-only transaction. Where that fails the connection may be one that the server has ended.
	begin(ctx context.Context) error
	// query asks in the transaction, which ends with it. It ends soon after ctx, and has the server end the query too.
	query(ctx context.Context, query string, args []any, into *table) error
	close()
}

// fetcher asks one query. It keeps its connection and memory from tick to tick.
type fetcher struct {
	set     *Config
	secrets *setting.SecretStore
	show    func(section, line string) // nil = nobody looks
	path    string                     // of SQLite
	args    []argument
	wire    *wire
	rows    table
	doc     sources.Document

	mu    sync.Mutex // of what follows, which the timer uses too
	kept  session    // nil = none
	dsn   string     // what it was opened with
	timer *time.Timer
}

// Fetch asks once. Its errors begin with the driver.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	root, err := f.fetch(ctx, tick)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", f.set.Driver, f.explain(ctx, err))
	}
	f.doc = sources.Document{From: "query " + string(f.set.Driver), Root: root}
	return &f.doc, nil
}

func (f *fetcher) fetch(ctx context.Context, tick sources.Tick) (document.Value, error) {
	args, err := f.values(tick)
	if err != nil {
		return document.Value{}, err
	}
	begun := time.Now()
	f.wire.allow(int64(f.set.MaxBytes))
	s, dsn, err := f.begin(ctx)
	if err != nil {
		return document.Value{}, err
	}
	f.rows.maxRows, f.rows.maxBytes = f.set.MaxRows, int(f.set.MaxBytes)
	if err := s.query(ctx, f.set.Query, args, &f.rows); err != nil {
		s.close()
		return document.Value{}, err
	}
	f.keep(s, dsn)
	f.shown(args, time.Since(begun))
	return f.rows.end()
}

// begin begins a transaction, in the kept connection if that still works, else in a new one.
func (f *fetcher) begin(ctx context.Context) (session, string, error) {
	dsn := f.path
	if f.set.Driver != SQLite {
		var err error
		if dsn, err = f.secrets.Text(f.set.DSN); err != nil {
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
	switch f.set.Driver {
	case Postgres:
		return f.openPostgres(ctx, dsn)
	case MySQL:
		return f.openMySQL(ctx, dsn)
	}
	return openSQLite(ctx, dsn, int(f.set.MaxBytes))
}

// keep keeps a connection for a while. A file is opened anew at each tick, since another may stand in its place by then.
func (f *fetcher) keep(s session, dsn string) {
	if f.set.Driver == SQLite {
		s.close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.dsn = s, dsn
	f.timer = time.AfterFunc(idle, f.close)
}

// take is the kept connection, nil where there is none that was opened with this DSN.
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

// explain is an error as one line without secrets. Of an end of the tick's time it says just that.
func (f *fetcher) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if b, ok := errors.AsType[*bound](err); ok {
		return b
	}
	if f.wire.isSpent() {
		return f.rows.tooLarge()
	}
	return errors.New(text.Cut(text.OneLine(f.secrets.Scrub(remedy(err))), maxShown))
}

// maxShown bounds, in bytes, what is shown of a database's error.
const maxShown = 500

// shown shows the query and what came of it.
func (f *fetcher) shown(args []any, took time.Duration) {
	if f.show == nil {
		return
	}
	line := strings.TrimSpace(f.set.Query)
	for i, value := range args {
		line += fmt.Sprintf("\n%d: %s", i+1, written(value))
	}
	f.show("query", fmt.Sprintf("%s\n%d rows in %s", line, f.rows.rows, took.Round(time.Millisecond)))
}
