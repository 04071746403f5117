//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	ours "github.com/collectington/collectington/sources/fetch/sql"
)

// fetcher returns the fetcher of a job for a query.
func (d *database) fetcher(t *testing.T, dsn, query string, args ...any) sources.Fetcher {
	t.Helper()
	c := ours.Kind.Defaults().(*ours.Config)
	c.Driver, c.DSN, c.Query, c.Args = ours.Driver(d.driver), "env:DSN", query, args
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	vault := &setting.SecretStore{LookupEnv: func(string) (string, bool) { return dsn, true }}
	f, err := c.New(sources.Env{Job: "test", Web: &httpclient.Host{Secrets: vault}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// answer returns the document that a fetcher returns, as JSON, or the text of its error. The error must not show a password.
func answer(ctx context.Context, t *testing.T, f sources.Fetcher) string {
	t.Helper()
	end := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	doc, err := f.Fetch(ctx, sources.Tick{Time: end, Start: end.Add(-time.Hour), End: end}, sources.Request{})
	if err != nil {
		if strings.Contains(err.Error(), "hunter22") || strings.Contains(err.Error(), "\n") {
			t.Errorf("shows a password, or is not one line: %q", err)
		}
		return err.Error()
	}
	return doc.Root.Raw()
}

// ask makes a query with the administrator's login and returns the answer.
func (d *database) ask(ctx context.Context, t *testing.T, query string, args ...any) string {
	t.Helper()
	return answer(ctx, t, d.fetcher(t, d.dsn(login, password), query, args...))
}

// asks compares the answers to queries with the wanted ones. A query can end in " <- " and an argument. If the answer is the text of an
// error, it needs only to begin with the wanted text.
func (d *database) asks(ctx context.Context, t *testing.T, answers map[string]string) {
	t.Helper()
	for query, want := range answers {
		query, arg, bound := strings.Cut(query, " <- ")
		var args []any
		if bound {
			args = append(args, arg)
		}
		got := d.ask(ctx, t, query, args...)
		if got != want && (strings.HasPrefix(want, "[") || !strings.HasPrefix(got, "query "+d.driver+": "+want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", query, got, want)
		}
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	d := startPostgres(ctx, t)
	execute := func(statement string) {
		t.Helper()
		conn, err := pgconn.Connect(ctx, d.dsn(login, password))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	execute(`CREATE TABLE jobs (id int8, queue text, at timestamptz);
		INSERT INTO jobs VALUES (1, 'a', '2026-07-01 09:30:00Z'), (2, 'b', '2026-07-01 10:00:00Z');
		CREATE ROLE reader LOGIN PASSWORD '` + password + `'`)
	const timeIs = ` <- {{ .Window.Start }}`
	d.asks(ctx, t, map[string]string{
		`SELECT 32767::int2 AS a, (-2147483648)::int4 AS b, 9223372036854775807::int8 AS c, 4294967295::oid AS d`:                `[{"a":32767,"b":-2147483648,"c":9223372036854775807,"d":4294967295}]`,
		`SELECT 0.1::float4 AS a, 0.1::float8 AS b, 1e300::float8 AS c, 'NaN'::float8 AS d, '-Infinity'::float4 AS e`:            `[{"a":0.1,"b":0.1,"c":1e+300,"d":"NaN","e":"-Infinity"}]`,
		`SELECT 123456789012345678901234567890.123456789000::numeric AS a, 'NaN'::numeric AS b`:                                  `[{"a":123456789012345678901234567890.123456789000,"b":"NaN"}]`,
		`SELECT true AS a, false AS b, null::bool AS c, null AS d`:                                                               `[{"a":true,"b":false,"c":null,"d":null}]`,
		`SELECT 'hé "x"'::text AS a, 'ab'::char(4) AS b, 'x'::varchar AS c, 'n'::name AS d`:                                      `[{"a":"hé \"x\"","b":"ab  ","c":"x","d":"n"}]`,
		`SELECT 'hé'::bytea AS a, '\xff00'::bytea AS b, ''::bytea AS c`:                                                          `[{"a":"hé","b":"/wA=","c":""}]`,
		`SELECT '2026-07-01 12:00:00.123456+02'::timestamptz AS a, '2026-07-01 12:00'::timestamp AS b`:                           `[{"a":"2026-07-01T10:00:00.123456Z","b":"2026-07-01T12:00:00Z"}]`,
		`SELECT '1900-01-01 00:00Z'::timestamptz AS a, 'infinity'::timestamptz AS b, '0044-03-15 BC'::timestamp AS c`:            `[{"a":"1900-01-01T00:00:00Z","b":"infinity","c":"0044-03-15 00:00:00 BC"}]`,
		`SELECT '2026-07-01'::date AS a, '12:30'::time AS b, '1 day 2 hours'::interval AS c`:                                     `[{"a":"2026-07-01","b":"12:30:00","c":"1 day 02:00:00"}]`,
		`SELECT '{"a": 1}'::json AS a, '{"a":1}'::jsonb AS b, ARRAY[1,2] AS c, '::1'::inet AS d, gen_random_uuid() IS NULL AS e`: `[{"a":"{\"a\": 1}","b":"{\"a\": 1}","c":"{1,2}","d":"::1","e":false}]`,
		`SELECT id FROM jobs WHERE false`:                                    `[]`,
		`SELECT count(*) AS n FROM jobs WHERE at >= $1` + timeIs:             `[{"n":2}]`,
		`SELECT count(*) AS n FROM jobs WHERE at >= $1 <- {{ .Window.End }}`: `[{"n":1}]`,
		`SELECT count(*) AS n FROM jobs WHERE queue = $1 <- ' OR true --`:    `[{"n":0}]`,
		`SELECT $1::bigint AS n <- {{ unix .Now }}`:                          `[{"n":1782900000}]`,

		`SELECT 1, 2`:        `two columns have the name "?column?": rename one of them with AS`,
		`SELECT * FROM gone`: `relation "gone" does not exist at character 15 (SQLSTATE 42P01): name the schema too`,
		`SELEKT 1`:           `syntax error at or near "SELEKT" at character 1 (SQLSTATE 42601)`,
		`SELECT 1; SELECT 2`: `cannot insert multiple commands into a prepared statement (SQLSTATE 42601)`,
		`SELECT $1`:          `bind message supplies 0 parameters, but prepared statement "" requires 1`,
		`SELECT 1/0 AS n`:    `division by zero (SQLSTATE 22012)`,
		`SELECT n, 1/(n-1000) AS m FROM generate_series(1, 2000) AS n`: `division by zero (SQLSTATE 22012)`,
		`INSERT INTO jobs VALUES (3)`:                                  `cannot execute INSERT in a read-only transaction (SQLSTATE 25006): the query may only read`,
		`DELETE FROM jobs RETURNING id`:                                `cannot execute DELETE in a read-only transaction`,
		`WITH d AS (DELETE FROM jobs RETURNING id) SELECT * FROM d`:    `cannot execute SELECT in a read-only transaction`,
		`DROP TABLE jobs`: `cannot execute DROP TABLE in a read-only transaction`,
		`SELECT set_config('transaction_read_only', 'off', false) AS a`: `transaction read-write mode must be set before any query`,
		`SET TRANSACTION READ WRITE`:                                    `the query returns no columns: want a statement that reads, such as SELECT`,
		`COMMIT`:                                                        `the query returns no columns: want a statement that reads, such as SELECT`,
		`DO $$ BEGIN COMMIT; DELETE FROM jobs; END $$`:                  `invalid transaction termination`,
		`COPY jobs TO STDOUT`:                                           `the query returns no columns: want a statement that reads, such as SELECT`,
		`SELECT repeat('x', 100000000) AS n`:                            `the rows exceed max_bytes`,
		`SELECT repeat('x', 1000000) AS n FROM generate_series(1, 100)`: `the rows exceed max_bytes`,
		`SELECT generate_series(1, 1000000) AS n`:                       `the query has more than max_rows (100000) rows`,
	})
	if got := d.ask(ctx, t, `SELECT count(*) AS n FROM jobs`); got != `[{"n":2}]` {
		t.Errorf("something was written: %s", got)
	}
	if got := answer(ctx, t, d.fetcher(t, d.dsn(login, "hunter22-wrong"), "SELECT 1")); !strings.Contains(got, "password authentication failed") || !strings.Contains(got, "check the user and password in dsn") {
		t.Error(got)
	}
	if got := answer(ctx, t, d.fetcher(t, d.dsn("reader", password), "SELECT id FROM jobs")); !strings.Contains(got, "permission denied for table jobs (SQLSTATE 42501): grant the user SELECT") {
		t.Error(got)
	}
	if got := answer(ctx, t, d.fetcher(t, "postgres://a:hunter22@[::1/x", "SELECT 1")); !strings.Contains(got, "dsn is not the address of a PostgreSQL database") {
		t.Error(got)
	}
	running := `SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'`
	d.checkTimeout(ctx, t, `SELECT pg_sleep(600)::text AS n`, running)
	d.checkConnections(ctx, t, `SELECT pg_sleep(600)::text AS n`, `SELECT pg_backend_pid() AS n`, func(id string) { execute("SELECT pg_terminate_backend(" + id + ")") })
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	d := startMariaDB(ctx, t)
	connector, err := mysql.ParseDSN(d.dsn(login, password))
	if err != nil {
		t.Fatal(err)
	}
	connector.MultiStatements = true
	db, err := sql.Open("mysql", connector.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	execute(`CREATE TABLE jobs (id BIGINT UNSIGNED, queue TEXT, at DATETIME, seen TIMESTAMP NULL);
		INSERT INTO jobs VALUES (18446744073709551615, 'a', '2026-07-01 09:30:00', '2026-07-01 15:00:00'), (2, 'b', '2026-07-01 10:00:00', NULL);
		CREATE TABLE kinds (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(40,12), h BIT(12),
			i DATE, j TIME, k YEAR, l ENUM('x','y'), m SET('p','q'), n JSON, o VARBINARY(9), p BLOB, q BOOLEAN, r CHAR(3), s DATETIME(6));
		INSERT INTO kinds VALUES (-128, 65535, -8388608, -9223372036854775808, 0.1, 1e300, 1234567890123456789012345678.123456789000, b'100000000001',
			'2026-07-01', '-12:30:00', 2026, 'y', 'p,q', '{"a": 1}', 'hé', x'ff00', TRUE, 'ab', '2026-07-01 10:00:00.123456');
		INSERT INTO kinds (i) VALUES (NULL);
		CREATE USER reader@'%' IDENTIFIED BY '` + password + `';
		CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 2 AS a; END`)
	const kinds = `[{"a":-128,"b":65535,"c":-8388608,"d":-9223372036854775808,"e":0.1,"f":1e+300,"g":1234567890123456789012345678.123456789000,` +
		`"h":2049,"i":"2026-07-01","j":"-12:30:00","k":2026,"l":"y","m":"p,q","n":"{\"a\": 1}","o":"hé","p":"/wA=","q":1,"r":"ab","s":"2026-07-01T10:00:00.123456Z"}]`
	d.asks(ctx, t, map[string]string{
		`SELECT * FROM kinds WHERE a IS NOT NULL`:                               kinds,
		`SELECT * FROM kinds WHERE a < ? <- 1`:                                  kinds,
		`SELECT a, i, p FROM kinds WHERE a IS NULL`:                             `[{"a":null,"i":null,"p":null}]`,
		`SELECT id, at, seen FROM jobs ORDER BY id DESC`:                        `[{"id":18446744073709551615,"at":"2026-07-01T09:30:00Z","seen":"2026-07-01T09:30:00Z"},{"id":2,"at":"2026-07-01T10:00:00Z","seen":null}]`,
		`SELECT id FROM jobs WHERE FALSE`:                                       `[]`,
		`SELECT SUM(id) AS n, COUNT(*) AS m, NULL AS o FROM jobs`:               `[{"n":18446744073709551617,"m":2,"o":null}]`,
		`SELECT COUNT(*) AS n FROM jobs WHERE at >= ? <- {{ .Window.Start }}`:   `[{"n":2}]`,
		`SELECT COUNT(*) AS n FROM jobs WHERE at >= ? <- {{ .Window.End }}`:     `[{"n":1}]`,
		`SELECT COUNT(*) AS n FROM jobs WHERE seen >= ? <- {{ .Window.Start }}`: `[{"n":1}]`,
		`SELECT COUNT(*) AS n FROM jobs WHERE queue = ? <- ' OR TRUE -- `:       `[{"n":0}]`,
		`SELECT ? + 0 AS n <- {{ unix .Now }}`:                                  `[{"n":1782900000}]`,

		`SELECT 1 AS n, 2 AS n`:            `two columns have the name "n": rename one of them with AS`,
		`SELECT * FROM gone`:               `Table 'shop.gone' doesn't exist (error 1146)`,
		`SELEKT 1`:                         `You have an error in your SQL syntax`,
		`SELECT 1; SELECT 2`:               `You have an error in your SQL syntax`,
		`CALL two()`:                       `the query has several result sets: want one`,
		`INSERT INTO jobs (id) VALUES (3)`: `Cannot execute statement in a READ ONLY transaction (error 1792): the query may only read`,
		`DELETE FROM jobs`:                 `Cannot execute statement in a READ ONLY transaction`,
		`DROP TABLE jobs`:                  `Cannot execute statement in a READ ONLY transaction`,
		`TRUNCATE jobs`:                    `Cannot execute statement in a READ ONLY transaction`,
		`CREATE TABLE x (n INT)`:           `Cannot execute statement in a READ ONLY transaction`,
		`CREATE USER x`:                    `Cannot execute statement in a READ ONLY transaction`,
		`COMMIT`:                           `the query returns no columns: want a statement that reads, such as SELECT`,
		`SELECT REPEAT('x', 15000000) AS n FROM jobs, jobs AS b, jobs AS c, jobs AS d`: `the rows exceed max_bytes`,
		`SELECT seq AS n FROM seq_1_to_1000000`:                                        `the query has more than max_rows (100000) rows`,
	})
	if got := d.ask(ctx, t, `SELECT COUNT(*) AS n FROM jobs`); got != `[{"n":2}]` {
		t.Errorf("something was written: %s", got)
	}
	if got := answer(ctx, t, d.fetcher(t, d.dsn(login, "hunter22-wrong"), "SELECT 1")); !strings.Contains(got, "Access denied for user 'agent'") || !strings.Contains(got, "check the user and password in dsn") {
		t.Error(got)
	}
	if got := answer(ctx, t, d.fetcher(t, strings.Replace(d.dsn("reader", password), "/shop", "/", 1), "SELECT id FROM shop.jobs")); !strings.Contains(got, "grant the user SELECT") {
		t.Error(got)
	}
	if got := answer(ctx, t, d.fetcher(t, "a:hunter22@tcp(x/y", "SELECT 1")); !strings.Contains(got, "dsn is not the address of a MySQL database") {
		t.Error(got)
	}
	running := `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE command <> 'Sleep' AND info LIKE 'SELECT SUM%'`
	d.checkTimeout(ctx, t, `SELECT SUM(a.seq * b.seq) AS n FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b`, running)
	d.checkConnections(ctx, t, `SELECT SLEEP(600) AS n`, `SELECT CONNECTION_ID() AS n`, func(id string) { execute("KILL " + id) })
}

// checkTimeout checks that a timeout ends the query "long", also in the database. The query "running" returns how many queries of this kind
// still run.
func (d *database) checkTimeout(ctx context.Context, t *testing.T, long, running string) {
	t.Helper()
	short, cancel := context.WithTimeoutCause(ctx, 500*time.Millisecond, errors.New("no end within the timeout of 500ms"))
	defer cancel()
	begun := time.Now()
	got := d.ask(short, t, long)
	if took := time.Since(begun); got != "query "+d.driver+": no end within the timeout of 500ms" || took > 2500*time.Millisecond {
		t.Errorf("%s after %s", got, took)
	}
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	poll(soon, t, "wait for the query's end in the database", func() error {
		if left := d.ask(ctx, t, running); left != `[{"n":0}]` {
			return fmt.Errorf("still running: %s", left)
		}
		return nil
	})
}

// checkConnections checks that a connection is used again. After the server has closed a connection, the fetcher must open a new one. If
// the server is killed, a fetch must fail at once.
func (d *database) checkConnections(ctx context.Context, t *testing.T, sleep, id string, terminate func(id string)) {
	t.Helper()
	f := d.fetcher(t, d.dsn(login, password), id)
	first := answer(ctx, t, f)
	if again := answer(ctx, t, f); again != first {
		t.Errorf("two fetches had two connections: %s, %s", first, again)
	}
	terminate(strings.Trim(first, `[{"n:}]`))
	if again := answer(ctx, t, f); again == first || !strings.HasPrefix(again, "[") {
		t.Errorf("after connection %s was ended: %s", first, again)
	}
	time.AfterFunc(time.Second, func() { _ = d.cmd.Process.Signal(os.Kill) })
	begun := time.Now()
	got := d.ask(ctx, t, sleep)
	if took := time.Since(begun); !strings.HasPrefix(got, "query "+d.driver+": ") || strings.Contains(got, "deadline") || took > 10*time.Second {
		t.Errorf("%s after %s", got, took)
	}
	t.Logf("killed during a query: %s", got)
	<-d.done
	if got := answer(ctx, t, f); !strings.Contains(got, "is the database running, and is its address in dsn right") {
		t.Errorf("without a server: %s", got)
	}
}

// TestDatabaseByCommand checks that the commands of cton can query a database and print no secret.
func TestDatabaseByCommand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	d := startPostgres(ctx, t)
	path := write(t, t.TempDir(), "cton.yaml", `
sinks: {out: {print: {}}}
jobs:
  tables:
    schedule: "@every 60s"
    sql: {driver: postgres, dsn: "env:DSN", query: "SELECT relkind AS kind, count(*) AS n FROM pg_class WHERE relkind = $1 GROUP BY 1", args: [r]}
    metrics:
      relations: {type: gauge, items: ".[]", value: .n, labels: {kind: .kind}}
`)
	for _, command := range [][]string{{"once"}, {"try", "tables"}} {
		cmd := exec.CommandContext(ctx, env(t, "CTON"), append(command, "-c", path)...)
		cmd.Env = append(os.Environ(), "DSN="+d.dsn(login, password))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), `relations{kind="r"`) || strings.Contains(string(out), "hunter22") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// nobody is the ID of Debian's user nobody and of the group nogroup. Databases refuse to run as root.
const nobody = 65534

// database is a running database server.
type database struct {
	*process
	driver string
	dsn    func(user, password string) string
}

// asNobody returns a command. If the test runs as root, this command runs as the user nobody.
func asNobody(name string, args ...string) []string {
	command := append([]string{name}, args...)
	if libraries := os.Getenv("DATABASE_LIBRARIES"); libraries != "" {
		command = append([]string{"env", "LD_LIBRARY_PATH=" + libraries}, command...)
	}
	if os.Getuid() == 0 {
		command = append([]string{"setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups", "--pdeathsig=KILL"}, command...)
	}
	return command
}

// nobodyDir returns an empty directory of the user named nobody. That user cannot read directories that t.TempDir makes.
func nobodyDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cton-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runToEnd runs a command, which must succeed, and waits for its end.
func runToEnd(ctx context.Context, t *testing.T, dir, stdin string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

// programDir returns the directory that an environment variable names, if it contains a program. Otherwise the test is skipped. But if root
// runs the test, it fails.
func programDir(t *testing.T, name, program string) string {
	t.Helper()
	dir := os.Getenv(name)
	if _, err := os.Stat(filepath.Join(dir, program)); dir == "" || err != nil {
		if os.Getuid() == 0 {
			t.Fatalf("%s is not a directory with %s: start the tests with deploy/e2e/run.sh", name, program)
		}
		t.Skipf("%s is not installed, and only root can download it", program)
	}
	return dir
}

// The login of the administrator.
const (
	login    = "agent"
	password = "hunter22-of-the-test"
)

func startPostgres(ctx context.Context, t *testing.T) *database {
	t.Helper()
	bin, dir, address := programDir(t, "POSTGRES", "postgres"), nobodyDir(t), freeAddress(t)
	data := filepath.Join(dir, "data")
	runToEnd(ctx, t, dir, password, asNobody("tee", "password")...)
	runToEnd(ctx, t, dir, "", asNobody(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username="+login,
		"--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")...)
	host, port, _ := net.SplitHostPort(address)
	command := asNobody(filepath.Join(bin, "postgres"), "-D", data, "-F", "-h", host, "-p", port, "-k", dir,
		"-c", "timezone=Asia/Kolkata", "-c", "datestyle=German")
	d := &database{process: start(t, command[0], command[1:]...), driver: "postgres", dsn: func(user, password string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", user, password, address)
	}}
	t.Cleanup(func() { d.stopWith(os.Interrupt) })
	waitForServer(ctx, t, address)
	return d
}

func startMariaDB(ctx context.Context, t *testing.T) *database {
	t.Helper()
	usr, dir, address := programDir(t, "MARIADB", "sbin/mariadbd"), nobodyDir(t), freeAddress(t)
	data, server := filepath.Join(dir, "data"), filepath.Join(usr, "sbin/mariadbd")
	tables := "CREATE DATABASE mysql;\nUSE mysql;\n"
	for _, name := range []string{"mysql_system_tables.sql", "mysql_system_tables_data.sql"} {
		text, err := os.ReadFile(filepath.Join(usr, "share/mysql", name))
		if err != nil {
			t.Fatal(err)
		}
		tables += string(text)
	}
	runToEnd(ctx, t, dir, "", asNobody("mkdir", data)...)
	own := []string{"--no-defaults", "--basedir=" + usr, "--datadir=" + data, "--lc-messages-dir=" + filepath.Join(usr, "share/mysql"), "--innodb-flush-log-at-trx-commit=0"}
	runToEnd(ctx, t, dir, tables, asNobody(server, append(own, "--bootstrap")...)...)
	users := fmt.Sprintf("CREATE DATABASE shop;\nCREATE USER %s@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO %s@'%%';\n", login, password, login)
	runToEnd(ctx, t, dir, users, asNobody("tee", "users.sql")...)
	host, port, _ := net.SplitHostPort(address)
	command := asNobody(server, append(own, "--bind-address="+host, "--port="+port, "--socket="+filepath.Join(dir, "socket"),
		"--init-file="+filepath.Join(dir, "users.sql"), "--skip-name-resolve", "--default-time-zone=+05:30")...)
	d := &database{process: start(t, command[0], command[1:]...), driver: "mysql", dsn: func(user, password string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/shop", user, password, address)
	}}
	t.Cleanup(func() { d.stopWith(os.Interrupt) })
	waitForServer(ctx, t, address)
	return d
}

// stopWith sends a signal to a server and waits for its end.
func (d *database) stopWith(signal os.Signal) {
	_ = d.cmd.Process.Signal(signal) // an error means that the server has ended
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		d.kill()
	}
}

// waitForServer waits until a server accepts connections. MariaDB then sends a greeting; PostgreSQL keeps silent.
func waitForServer(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	poll(ctx, t, "wait for "+address, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); err == io.EOF {
			return err
		}
		return nil
	})
}
