package environment

import (
	"os"
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSuite(t *testing.T) {
	sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
		t.Setenv("SIZE", "3")
		env, logged := sourcetest.FetcherEnv(t.TempDir())
		f, err := (&Config{Variables: []string{"SIZE"}}).New(env)
		if err != nil {
			t.Fatal(err)
		}
		behave := func(b sourcetest.Behavior) {
			os.Setenv("SIZE", "3")
			if b == sourcetest.Fails {
				os.Unsetenv("SIZE")
			}
		}
		return sourcetest.FetcherPeer{Fetcher: f, Behave: behave, Fixed: true, NeverHangs: true, Logged: logged}
	})
}
