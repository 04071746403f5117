package file

import (
	"path/filepath"
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

func TestFetcherSuite(t *testing.T) {
	for _, settings := range []string{"path: a.json", "paths: ['*.json']", "{path: a.json, changed_only: true}"} {
		t.Run(settings, func(t *testing.T) {
			sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
				dir := t.TempDir()
				behave := func(b sourcetest.Behavior) {
					text := `{"n": 1}`
					if b == sourcetest.Fails {
						text = `{"key": "` + sourcetest.Secret
					}
					write(t, filepath.Join(dir, "a.json"), text, old())
				}
				behave(sourcetest.Answers)
				env, logged := sourcetest.FetcherEnv(dir)
				env.Web.Secrets.Remember(sourcetest.Secret)
				f, err := config(t, settings).New(env)
				if err != nil {
					t.Fatal(err)
				}
				return sourcetest.FetcherPeer{Fetcher: f, Behave: behave, Fixed: true, NeverHangs: true, Logged: logged}
			})
		})
	}
}
