package textfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks/sinktest"
)

func TestSuite(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Peer {
		env, logged := sinktest.Env(t)
		s, err := (&Config{Directory: "."}).New(env)
		if err != nil {
			t.Fatal(err)
		}
		return sinktest.Peer{Sink: s, Logged: logged, Holds: func(t *testing.T, _ time.Time) sinktest.Holding {
			files, err := filepath.Glob(filepath.Join(env.Dir, "*.prom"))
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(text)
			}
			return sinktest.FromText(t, all.String())
		}}
	})
}
