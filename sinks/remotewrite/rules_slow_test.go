package remotewrite

import (
	"context"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/sinks"
)

func TestSlowJobCrashesProcess(t *testing.T) {
	name := "job"
	receiving(t, &double{}, func(c *Config, _ *sinks.Env) {
		c.Protocol = Protocol1
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}, func(r *rig) {
		f := gauge("temp", 20, "a")
		w := func(job string, fs ...metric.Family) {
			if err := r.sink.Write(context.Background(), metric.Batch{Job: job, Time: time.Now(), Every: time.Hour, Families: fs}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		w("two", f)
		w("one", f)
		w("one", f)
		w("one")
		r.tick()
		r.tick()
	})
}
