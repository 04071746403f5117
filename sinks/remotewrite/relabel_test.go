package remotewrite

import (
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/sinks"
)

func TestWhatIsSentIsRelabelled(t *testing.T) {
	text := func(s string) *string { return &s }
	change := func(c *Config, env *sinks.Env) {
		env.External = []metric.Label{{Name: "site", Value: "oslo"}}
		c.WriteRelabel = relabel.Rules{
			{SourceLabels: []string{"__name__"}, Regex: text("debug_.*|took_bucket"), Action: "drop"},
			{SourceLabels: []string{"site"}, TargetLabel: "place"},
			{Regex: text("room"), Action: "labeldrop"},
		}
	}
	inBoth(t, change, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		r.write("house",
			gauge("temp", 20, "a"), gauge("debug_temp", 1, "a"),
			made(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 2}}}}, "a"),
		)
		r.tick()
		now := time.Now()
		s.want(t, now, `temp{site="oslo",place="oslo",room=""}`, 20)
		s.want(t, now, `count({__name__=~"debug_temp|took_bucket"})`, gone)
		s.want(t, now, "took_sum", 4.5)
		s.want(t, now, "took_count", 3)
		r.write("house", gauge("temp", 21, "a"))
		r.tick()
		s.want(t, time.Now(), "temp", 21)
		s.want(t, time.Now(), "took_count", gone)
		if n := len(r.stats.Dropped()); n > 0 {
			t.Errorf("samples are dropped: %v", r.stats.Dropped())
		}
	})
}

// TestSeriesThatBecomeOne holds that of two series that the rules make one, one is sent and the other counted.
func TestSeriesThatBecomeOne(t *testing.T) {
	name := "room"
	change := func(c *Config, _ *sinks.Env) {
		c.Connections = 4
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inBoth(t, change, func(r *rig, s *server) {
		for _, room := range []string{"a", "b", "a", "b"} {
			r.write("house", gauge("temp", 20, room))
			r.tick()
		}
		r.drops(sinks.NotNewer, 0)
		s.want(t, time.Now(), "count_over_time(temp[10m])", 4)
		r.write("house", gauge("temp", 21, "a", "b"))
		r.tick()
		r.drops(sinks.NotNewer, 1)
	})
}

// TestLabelsThatNoReceiverTakes holds that a series that would have its whole request refused is left out alone.
func TestLabelsThatNoReceiverTakes(t *testing.T) {
	text := func(s string) *string { return &s }
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{
			{SourceLabels: []string{"__name__"}, Regex: text("debug_.*"), TargetLabel: "__name__", Replacement: text("")},
		}
	}
	inBoth(t, change, func(r *rig, s *server) {
		for range 2 {
			r.write("house", gauge("temp", 20, "a", "\xff"), gauge("debug_temp", 1, "a"))
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 2)
		s.want(t, time.Now(), `count({room!=""})`, 1)
		r.drops(metric.Invalid, 4)
	})
}
