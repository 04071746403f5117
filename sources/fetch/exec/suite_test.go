package exec

import (
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

func TestFetcherSuite(t *testing.T) {
	sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
		dir := t.TempDir()
		script(t, dir, "answers", "#!/bin/sh\necho '{\"n\": 1}'\n", 0o700)
		script(t, dir, "fails", "#!/bin/sh\necho \"no access for $KEY\" >&2\nexit 1\n", 0o700)
		script(t, dir, "hangs", "#!/bin/sh\nexec sleep 60\n", 0o700)
		behaviors := map[sourcetest.Behavior]string{sourcetest.Answers: "answers", sourcetest.Fails: "fails", sourcetest.Hangs: "hangs"}
		behave := func(b sourcetest.Behavior) { script(t, dir, "name", behaviors[b], 0o600) }
		behave(sourcetest.Answers)
		env, logged := sourcetest.FetcherEnv(dir)
		f, err := config(t, `{shell: 'exec "./$(cat name)"', env: {KEY: "env:KEY"}}`).New(env)
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.FetcherPeer{Fetcher: f, Behave: behave, Fixed: true, Logged: logged}
	})
}
