package remotewrite

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks"
)

// A spool with a backlog of one shard; a short run (cton once) with several connections must send the new samples too.
func TestOnceBehindBacklog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		change := func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir; c.Connections = 4; c.Protocol = Protocol1 }
		r := newRig(t, network, change) // nobody listens
		r.run()
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.stop()
		d := &double{answer: func(w http.ResponseWriter, q request) { time.Sleep(time.Second); takes(w, q) }}
		network.Serve(t, "receiver:80", d)
		r = newRig(t, network, change)
		r.run()
		synctest.Wait()
		r.write("j", gauge("x", 2, "a", "b", "c", "d", "e", "f", "g", "h"))
		synctest.Wait()
		r.stop()
		r.balanced()
	})
}
