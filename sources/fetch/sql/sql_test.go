package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"
	_ "modernc.org/sqlite"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config returns the defaults with the settings of text.
func config(t *testing.T, text string) *Config {
	t.Helper()
	c := Kind.Defaults().(*Config)
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// fresh returns a fetcher. Every secret has the value dsn.
func fresh(t *testing.T, dir, dsn, text string) *fetcher {
	t.Helper()
	c := config(t, text)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	secrets := &setting.SecretStore{LookupEnv: func(string) (string, bool) { return dsn, true }}
	f, err := c.New(sources.Env{Job: "test", Web: &httpclient.Host{Secrets: secrets}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return f.(*fetcher)
}

func tickAt() sources.Tick {
	end := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	return sources.Tick{Time: end, Start: end.Add(-time.Hour), End: end}
}

func fetch(t *testing.T, ctx context.Context, f sources.Fetcher) string {
	t.Helper()
	doc, err := f.Fetch(ctx, tickAt(), sources.Request{})
	if err != nil {
		if s := err.Error(); strings.ContainsAny(s, "\r\n\x1b") || len(s) > 800 || !utf8.ValidString(s) {
			t.Errorf("not one short line: %q", s)
		}
		return err.Error()
	}
	return doc.Root.Raw()
}

// write runs statements in a file, which it creates if needed.
func write(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// jobs creates jobs.db with two rows.
func jobs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "jobs.db"),
		`CREATE TABLE jobs (id INTEGER, queue TEXT, done BOOLEAN, at DATETIME, cost REAL, note BLOB)`,
		`INSERT INTO jobs VALUES (9223372036854775807, 'a"é', TRUE, '2026-07-01 09:30:00', 0.1, x'68c3a9')`,
		`INSERT INTO jobs VALUES (-9223372036854775808, NULL, FALSE, '2026-07-01T12:30:00.25+03:00', 9e999, x'ff00')`)
	return dir
}

const prefix = "query sqlite: "

func TestSQLite(t *testing.T) {
	dir := jobs(t)
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for settings, want := range map[string]string{
		`query: SELECT * FROM jobs`: `[{"id":9223372036854775807,"queue":"a\"é","done":true,"at":"2026-07-01T09:30:00Z","cost":0.1,"note":"hé"},` +
			`{"id":-9223372036854775808,"queue":null,"done":false,"at":"2026-07-01T09:30:00.25Z","cost":"+Inf","note":"/wA="}]`,
		`query: SELECT id FROM jobs WHERE 0`:    `[]`,
		`query: "SELECT 1 AS n;  -- a comment"`: `[{"n":1}]`,
		`query: WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t WHERE n < 3) SELECT n FROM t`:                                                                            `[{"n":1},{"n":2},{"n":3}]`,
		`{query: "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, typeof(?4) AS f", args: [null, true, 9223372036854775807, "7", 1.5]}`:                                                `[{"a":null,"b":1,"c":9223372036854775807,"d":"7","e":1.5,"f":"text"}]`,
		`{query: "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e", args: ["{{ .Window.Start }}", "{{ before \"1h\" .Now }}", "{{unix .Now}}", "{{ rfc3339 .Now }}", "to {{ .Now }}"]}`: `[{"a":"2026-07-01 09:00:00","b":"2026-07-01 09:00:00","c":1782900000,"d":"2026-07-01T10:00:00Z","e":"to 2026-07-01T10:00:00Z"}]`,
		`{query: SELECT count(*) AS n FROM jobs WHERE at >= ? AND at < ?, args: ["{{ .Window.Start }}", "{{ .Window.End }}"]}`:                                                        `[{"n":1}]`,

		`query: "SELECT 1 AS n, 2 AS n"`:                        prefix + `two columns have the name "n": rename one of them with AS`,
		`query: SELECT * FROM gone`:                             prefix + `no such table: gone`,
		`query: SELEKT 1`:                                       prefix + `near "SELEKT": syntax error`,
		`query: "-- nothing"`:                                   prefix + errNoColumns.Error(),
		`query: BEGIN`:                                          prefix + errNoColumns.Error(),
		`query: SELECT 1; SELECT 2`:                             prefix + `the query has more than one statement: want one`,
		`query: SELECT 1; nonsense`:                             prefix + `the query has more than one statement: want one`,
		`query: SELECT ? AS n`:                                  prefix + `the query has 1 placeholders, but args has 0 values`,
		`{query: SELECT 1, args: [1]}`:                          prefix + `the query has 0 placeholders, but args has 1 values`,
		`{query: SELECT id FROM jobs, max_rows: 1}`:             prefix + `the query has more than max_rows (1) rows: aggregate in the query, or limit it to the window`,
		`{query: SELECT id FROM jobs, max_rows: 2}`:             `[{"id":9223372036854775807},{"id":-9223372036854775808}]`,
		`{query: SELECT hex(id) AS x FROM jobs, max_bytes: 60}`: prefix + `the rows exceed max_bytes (60): select fewer rows or columns`,

		`query: DELETE FROM jobs`:                              prefix + `the query writes: only a statement that reads is allowed, such as SELECT`,
		`query: CREATE TABLE x (n)`:                            prefix + `the query writes: only a statement that reads is allowed, such as SELECT`,
		`query: DELETE FROM jobs RETURNING id`:                 prefix + `the query writes: only a statement that reads is allowed, such as SELECT`,
		`query: VACUUM INTO 'new.db'`:                          prefix + `the query writes: only a statement that reads is allowed, such as SELECT`,
		`{query: "ATTACH 'new.db' AS x"}`:                      prefix + errNoColumns.Error(),
		`{dsn: nothing.db, query: SELECT 1}`:                   prefix + dir + `/nothing.db: no such file or directory`,
		`{dsn: ., query: SELECT 1}`:                            prefix + dir + ` is not a regular file`,
		`{dsn: text, query: SELECT * FROM jobs}`:               prefix + `file is not a database`,
		`{dsn: "jobs.db?mode=rwc", query: SELECT * FROM jobs}`: prefix + dir + `/jobs.db?mode=rwc: no such file or directory`,
	} {
		text := "driver: sqlite\n" + strings.TrimSuffix(strings.TrimPrefix(settings, "{"), "}")
		if strings.HasPrefix(settings, "{") {
			text = "{driver: sqlite, " + settings[1:]
		}
		if !strings.Contains(settings, "dsn:") {
			text = strings.Replace(text, "driver: sqlite", "dsn: jobs.db\ndriver: sqlite", 1)
			if strings.HasPrefix(settings, "{") {
				text = "{dsn: jobs.db, driver: sqlite, " + settings[1:]
			}
		}
		f := fresh(t, dir, "", text)
		for range 2 {
			if got := fetch(t, t.Context(), f); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", settings, got, want)
			}
		}
	}
	for _, name := range []string{"nothing.db", "new.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was created", name)
		}
	}
}

func TestFileReplacedBetweenTicks(t *testing.T) {
	dir := jobs(t)
	f := fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, query: SELECT count(*) AS n FROM jobs}")
	if got := fetch(t, t.Context(), f); got != `[{"n":2}]` {
		t.Error(got)
	}
	write(t, dir+"/new.db", "CREATE TABLE jobs (id)")
	if err := os.Rename(dir+"/new.db", dir+"/jobs.db"); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, t.Context(), f); got != `[{"n":0}]` {
		t.Error(got)
	}
}

// endless is a query that returns its first row at once, and then never returns another row and never ends.
const endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t WHERE n = 1 OR n < 0"

func TestTimeout(t *testing.T) {
	for _, query := range []string{endless, "SELECT count(*) AS n FROM (" + endless + ")"} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("timed out after 50ms"))
		defer cancel()
		start := time.Now()
		got := fetch(t, ctx, fresh(t, jobs(t), "", "{driver: sqlite, dsn: jobs.db, query: "+query+"}"))
		if took := time.Since(start); got != prefix+"timed out after 50ms" || took > 2*time.Second {
			t.Errorf("%s after %s", got, took)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := jobs(t)
	db, err := sql.Open("sqlite", dir+"/jobs.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	f := fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, query: SELECT count(*) AS n FROM jobs}")
	if got := fetch(t, t.Context(), f); !strings.HasPrefix(got, prefix+"database is locked by a writer for more than 1s") {
		t.Error(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got := fetch(t, ctx, f); got != prefix+"context deadline exceeded" {
		t.Error(got)
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, t.Context(), f); got != `[{"n":2}]` {
		t.Error(got)
	}
}

func TestReadsWriteAheadLog(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", dir+"/wal.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range []string{"PRAGMA journal_mode = WAL", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetch(t, t.Context(), fresh(t, dir, "", "{driver: sqlite, dsn: wal.db, query: SELECT n FROM t}")); got != `[{"n":1}]` {
		t.Error(got)
	}
}

func TestSQLiteLimits(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1" + strings.Repeat("+1", 2000) + " AS n":                 "Expression tree is too large (maximum depth 1000)",
		"SELECT 1" + strings.Repeat(", 1", 2000):                          "too many columns in result set",
		"SELECT 1 AS n" + strings.Repeat(" UNION ALL SELECT 1 AS n", 501): "too many terms in compound SELECT",
	} {
		got := fetch(t, t.Context(), fresh(t, jobs(t), "", "{driver: sqlite, dsn: jobs.db, query: '"+query+"'}"))
		if got != prefix+want {
			t.Errorf("%.40s: %s, want %s", query, got, want)
		}
	}
}

func TestSQLiteAttachesNoFile(t *testing.T) {
	dir := jobs(t)
	s, err := openSQLite(t.Context(), filepath.Join(dir, "jobs.db"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	stmt, _, err := s.(*sqliteSession).conn.prepare("ATTACH 'other.db' AS other")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.close()
	if _, err := stmt.step(); err == nil || err.Error() != "too many attached databases - max 0" {
		t.Errorf("got %v", err)
	}
}

func TestMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector")
	}
	dir := jobs(t)
	const million = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1000000) SELECT n FROM t"
	if got := fetch(t, t.Context(), fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, query: "+million+"}")); !strings.Contains(got, "more than max_rows (100000)") {
		t.Error(got)
	}
	doc, err := fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, max_rows: 1000000, query: "+million+"}").Fetch(t.Context(), tickAt(), sources.Request{})
	if err != nil {
		t.Fatal(err)
	}
	n, last := 0, ""
	for item := range doc.Root.Items {
		n, last = n+1, item.Get("n").Raw()
	}
	if n != 1_000_000 || last != "1000000" {
		t.Errorf("%d rows, the last %s", n, last)
	}
}

func TestLargeCell(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector")
	}
	dir := t.TempDir()
	write(t, dir+"/jobs.db", "CREATE TABLE t (n)", fmt.Sprintf("INSERT INTO t VALUES (zeroblob(%d))", 100<<20))
	for _, query := range []string{"SELECT n FROM t", "SELECT zeroblob(100000000) AS n", "SELECT hex(zeroblob(60000000)) AS n"} {
		if got := fetch(t, t.Context(), fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, query: "+query+"}")); got != prefix+"string or blob too big: a value is larger than max_bytes" {
			t.Errorf("%.200s", got)
		}
	}
	if got := fetch(t, t.Context(), fresh(t, dir, "", "{driver: sqlite, dsn: jobs.db, query: SELECT length(n) AS n FROM t, max_bytes: 200MiB}")); got != `[{"n":104857600}]` {
		t.Errorf("%.200s", got)
	}
}

func TestValidate(t *testing.T) {
	const good = "driver: sqlite, dsn: a.db, query: SELECT 1"
	for text, want := range map[string]string{
		`{}`: "driver: is required: postgres, mysql (also for MariaDB) or sqlite\n" +
			"dsn: is required: a reference to the secret that holds the database's address, such as env:DATABASE_URL\n" +
			"query: is required: one statement that reads, such as SELECT",
		`{driver: sqlite, query: SELECT 1}`:                          "dsn: is required: the path of the database file",
		`{driver: sqlite, dsn: "file:a.db", query: SELECT 1}`:        "dsn: for sqlite, want the path of the database file, such as /var/lib/jobs.db",
		`{driver: mysql, dsn: "root:hunter22@/db", query: SELECT 1}`: `dsn: a secret must not be written here: refer to it by "env:NAME", "file:/path" or "file:/path#KEY"`,
		`{driver: mysql, dsn: env:A, query: "SELECT {{ .Now }}"}`:    "query: must not contain a template: write $1 (postgres) or ? for a value, and put the value in args",
		`{` + good + `, args: [[1], "{{ .Nope }}", 1e999, .nan]}`: "args.0: want a string, a number of at most 64 bits, true, false or null\n" +
			"args.1: no value .Nope: there are .Window.Start, .Window.End and .Now\n" +
			"args.3: want a finite number",
		`{` + good + `, max_rows: 0}`:     "max_rows: want at least 1",
		`{` + good + `, max_bytes: 2GiB}`: "max_bytes: want more than 0, at most 1GiB",
	} {
		if err := config(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestReferenceAsArgument checks that an argument can be a reference to a secret. Another argument is a text that only looks like a
// reference.
func TestReferenceAsArgument(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.db"), "CREATE TABLE x (a TEXT)")
	f := fresh(t, dir, "tenant-7", `{driver: sqlite, dsn: a.db, query: "SELECT ? AS a, ? AS b", args: ["env:TENANT", '{{ "env:TENANT" }}']}`)
	if got, want := fetch(t, t.Context(), f), `[{"a":"tenant-7","b":"env:TENANT"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
