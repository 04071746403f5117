//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nobody is who runs a database where root must not: Debian's nobody and nogroup.
const nobody = 65534

// database is a server at work, and how a login reaches it.
type database struct {
	*process
	driver string
	dsn    func(user, password string) string
}

// asNobody is a command that root runs as nobody, in place: the process is the command's own.
func asNobody(name string, args ...string) []string {
	command := append([]string{name}, args...)
	if libraries := os.Getenv("DATABASE_LIBRARIES"); libraries != "" {
		command = append([]string{"env", "LD_LIBRARY_PATH=" + libraries}, command...)
	}
	if os.Getuid() == 0 {
		command = append([]string{"setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups"}, command...)
	}
	return command
}

// folder is an empty folder of nobody's that nobody can get to, unlike one of the test's.
func folder(t *testing.T) string {
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

// prepare runs a command to its end.
func prepare(ctx context.Context, t *testing.T, dir, stdin string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

// provided is where a database's programs are; the test is left out where they are not.
func provided(t *testing.T, name, program string) string {
	t.Helper()
	dir := os.Getenv(name)
	if _, err := os.Stat(filepath.Join(dir, program)); dir == "" || err != nil {
		if os.Getuid() == 0 {
			t.Fatalf("%s is not set: begin with deploy/e2e/run.sh", name)
		}
		t.Skipf("there is no %s, and only root can get it", program)
	}
	return dir
}

// The login of which passwords are right.
const (
	login    = "agent"
	password = "hunter22-of-the-test"
)

func beginPostgres(ctx context.Context, t *testing.T) *database {
	t.Helper()
	bin, dir, address := provided(t, "POSTGRES", "postgres"), folder(t), freeAddress(t)
	data := filepath.Join(dir, "data")
	prepare(ctx, t, dir, password, asNobody("tee", "password")...)
	prepare(ctx, t, dir, "", asNobody(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username="+login,
		"--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")...)
	host, port, _ := net.SplitHostPort(address)
	command := asNobody(filepath.Join(bin, "postgres"), "-D", data, "-F", "-h", host, "-p", port, "-k", dir,
		"-c", "timezone=Asia/Kolkata", "-c", "datestyle=German")
	d := &database{process: begin(t, command[0], command[1:]...), driver: "postgres", dsn: func(user, password string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", user, password, address)
	}}
	t.Cleanup(func() { d.end(os.Interrupt) })
	listens(ctx, t, address)
	return d
}

func beginMariaDB(ctx context.Context, t *testing.T) *database {
	t.Helper()
	usr, dir, address := provided(t, "MARIADB", "sbin/mariadbd"), folder(t), freeAddress(t)
	data, server := filepath.Join(dir, "data"), filepath.Join(usr, "sbin/mariadbd")
	tables := "CREATE DATABASE mysql;\nUSE mysql;\n"
	for _, name := range []string{"mysql_system_tables.sql", "mysql_system_tables_data.sql"} {
		text, err := os.ReadFile(filepath.Join(usr, "share/mysql", name))
		if err != nil {
			t.Fatal(err)
		}
		tables += string(text)
	}
	prepare(ctx, t, dir, "", asNobody("mkdir", data)...)
	own := []string{"--no-defaults", "--basedir=" + usr, "--datadir=" + data, "--lc-messages-dir=" + filepath.Join(usr, "share/mysql"), "--innodb-flush-log-at-trx-commit=0"}
	prepare(ctx, t, dir, tables, asNobody(server, append(own, "--bootstrap")...)...)
	users := fmt.Sprintf("CREATE DATABASE shop;\nCREATE USER %s@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO %s@'%%';\n", login, password, login)
	prepare(ctx, t, dir, users, asNobody("tee", "users.sql")...)
	host, port, _ := net.SplitHostPort(address)
	command := asNobody(server, append(own, "--bind-address="+host, "--port="+port, "--socket="+filepath.Join(dir, "socket"),
		"--init-file="+filepath.Join(dir, "users.sql"), "--skip-name-resolve", "--default-time-zone=+05:30")...)
	d := &database{process: begin(t, command[0], command[1:]...), driver: "mysql", dsn: func(user, password string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/shop", user, password, address)
	}}
	t.Cleanup(func() { d.end(os.Interrupt) })
	listens(ctx, t, address)
	return d
}

// end signals a server and waits until it has ended.
func (d *database) end(signal os.Signal) {
	_ = d.cmd.Process.Signal(signal) // may have ended by itself
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		d.kill()
	}
}

// listens waits until an address says something, as MariaDB does, or nothing for a while, as PostgreSQL.
func listens(ctx context.Context, t *testing.T, address string) {
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
