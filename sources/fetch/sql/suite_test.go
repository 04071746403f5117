package sql

import (
	"path/filepath"
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

func TestFetcherSuite(t *testing.T) {
	const query = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT (SELECT size FROM sizes)) SELECT count(*) AS n FROM n`
	sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
		dir := t.TempDir()
		file := filepath.Join(dir, "a.db")
		write(t, file, "CREATE TABLE sizes (size INTEGER)")
		behave := func(b sourcetest.Behavior) {
			write(t, file, "DROP TABLE IF EXISTS sizes")
			switch b {
			case sourcetest.Answers:
				write(t, file, "CREATE TABLE sizes (size INTEGER)", "INSERT INTO sizes VALUES (1)")
			case sourcetest.Hangs:
				write(t, file, "CREATE TABLE sizes (size INTEGER)", "INSERT INTO sizes VALUES (1000000000000)")
			}
		}
		behave(sourcetest.Answers)
		env, logged := sourcetest.FetcherEnv(dir)
		f, err := config(t, "{driver: sqlite, dsn: a.db, query: \""+query+"\"}").New(env)
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.FetcherPeer{Fetcher: f, Behave: behave, Fixed: true, Logged: logged}
	})
}
