package remotewrite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/agent/httpclient/memnet"
)

// TestSpoolOfVersion1 checks that records in the first version of the spool's format, of both protocols, are still sent.
// samples.txt has what a receiver got from the build that wrote the records.
func TestSpoolOfVersion1(t *testing.T) {
	const recorded = "spool/testdata/version-1"
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(recorded)); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(recorded, "samples.txt"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		network, d := memnet.NewNetwork(), new(fakeReceiver)
		network.Serve(t, "receiver:80", d)
		r := newRig(t, network, onDisk(dir))
		r.run()
		r.tick()
		r.stop()
		if got := strings.Join(points(d.all()), "\n") + "\n"; got != string(want) {
			t.Errorf("the receiver got\n%s\nwant\n%s", got, want)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.rec")); len(left) > 0 || len(r.stats.Dropped()) > 0 {
			t.Errorf("left are %q, dropped %v", left, r.stats.Dropped())
		}
	})
}
