package command_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
)

// hungDir is a directory on a disk that hangs: the Sync of a file waits until the channel in the field "answer" is closed.
type hungDir struct {
	durable.FS
	answer chan struct{}
}

func (d hungDir) Create(name string) (durable.File, error) {
	file, err := d.FS.Create(name)
	return hungFile{file, d.answer}, err
}

type hungFile struct {
	durable.File
	answer chan struct{}
}

func (f hungFile) Sync() error {
	<-f.answer
	return f.File.Sync()
}

// TestOnceOnHungDisk checks the command "cton once" in the case that the disk of the state file hangs. The command must end at its
// deadline, deliver nothing whose state may be lost, and report this with exit code 3.
func TestOnceOnHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, net, answer := t.TempDir(), memnet.NewNetwork(), make(chan struct{})
		net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "2") }))
		file := filepath.Join(dir, "cton.yaml")
		if err := os.WriteFile(file, []byte(`
state_file: state
sinks: {out: {print: {}}}
jobs:
  api: {schedule: "@every 1h", http: {url: "http://api.test/"}, metrics: {new_total: {type: counter, from: increment, value: .}}}
`), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, log stream
		app := command.App{
			Catalogue: agent.Catalogue(), Out: &out, Err: &log, Dial: net.Dial,
			StateDir: func(path string) durable.FS { return hungDir{durable.NewDir(path), answer} },
		}
		began := time.Now()
		code := app.Main(t.Context(), []string{"once", "--deadline", "20s", "-c", file})
		if took := time.Since(began); code != 3 || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("exit code %d after %s", code, took)
		}
		for _, want := range []string{
			"not delivered: the state of the run is not on disk after 20s (--deadline): the disk of the state file does not answer",
			"cton: not on disk by the deadline: the state of api: write the ",
			"state: the disk has not finished within 20s\n",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in the log\n%s", want, &log)
			}
		}
		if strings.Contains(out.String(), "new_total 2") {
			t.Errorf("delivered:\n%s", &out)
		}
		close(answer)
	})
}
