package remotewrite

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/sinks"
)

func TestRelabel(t *testing.T) {
	text := func(s string) *string { return &s }
	change := func(c *Config, env *sinks.Env) {
		env.External = []metric.Label{{Name: "site", Value: "oslo"}}
		c.WriteRelabel = relabel.Rules{
			{SourceLabels: []string{"__name__"}, Regex: text("debug_.*|took_bucket"), Action: "drop"},
			{SourceLabels: []string{"site"}, TargetLabel: "place"},
			{Regex: text("room"), Action: "labeldrop"},
		}
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		r.write("house",
			gauge("temp", 20, "a"), gauge("debug_temp", 1, "a"),
			familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 2}}}}, "a"),
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

// TestSeriesBecomeEqual checks two series that relabelling makes equal: one is sent, and the other is counted as dropped.
func TestSeriesBecomeEqual(t *testing.T) {
	name := "room"
	change := func(c *Config, _ *sinks.Env) {
		c.Connections = 4
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
		for _, room := range []string{"a", "b", "a", "b"} {
			r.write("house", gauge("temp", 20, room))
			r.tick()
		}
		r.wantDropped(sinks.NotNewer, 0)
		s.want(t, time.Now(), "count_over_time(temp[10m])", 4)
		r.write("house", gauge("temp", 21, "a", "b"))
		r.tick()
		r.wantDropped(sinks.NotNewer, 1)
	})
}

// TestInvalidLabels checks that a series with invalid labels is left out, and that the others of its request are sent.
func TestInvalidLabels(t *testing.T) {
	text := func(s string) *string { return &s }
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{
			{SourceLabels: []string{"__name__"}, Regex: text("debug_.*"), TargetLabel: "__name__", Replacement: text("")},
		}
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
		for range 2 {
			r.write("house", gauge("temp", 20, "a", "\xff"), gauge("debug_temp", 1, "a"))
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 2)
		s.want(t, time.Now(), `count({room!=""})`, 1)
		r.wantDropped(metric.Invalid, 4)
	})
}

// TestTwoJobsShareASeries checks a series that relabelling makes equal in two jobs: after one job has ended it, the other job
// continues it.
func TestTwoJobsShareASeries(t *testing.T) {
	name := "job"
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
		d := &metric.Desc{Name: "temp", Help: "A gauge.", Type: metric.Gauge, LabelNames: []string{"room"}}
		one, two := familyOf(d, metric.Series{Value: 20}, "a", "b"), familyOf(d, metric.Series{Value: 20}, "a", "b")
		for range 2 {
			r.write("one", one)
			r.tick()
			r.write("two", two)
			r.tick()
		}
		one.Series = one.Series[1:]
		r.write("one", one)
		r.tick()
		two.Series[0].Value, two.Series[1].Value = 23, 24
		r.write("two", two)
		r.tick()
		t.Log(r.stats.Dropped(), r.log)
		s.want(t, time.Now(), `temp{room="a"}`, 23)
		s.want(t, time.Now(), `temp{room="b"}`, 24)
	})
}

// TestPartsBecomeEqual makes two buckets of a histogram equal by relabelling. It checks that one of them is sent.
func TestPartsBecomeEqual(t *testing.T) {
	name := "le"
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		r.write("house", gauge("temp", 20, "a"),
			familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 2}}}}, "a"))
		r.tick()
		t.Logf("dropped: %v sent %d", r.stats.Dropped(), r.stats.Sent.Load())
		r.wantDropped(sinks.NotNewer, 1)
		r.wantDropped(sinks.Refused, 0)
	})
}

// TestSlowJobsShareASeries sends a slow job again after another job has ended its series, which relabelling had made equal.
func TestSlowJobsShareASeries(t *testing.T) {
	name := "job"
	d := &fakeReceiver{}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) {
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
		var sent []string
		last := int64(0)
		for _, q := range d.all() {
			for _, p := range q.points {
				if p.time <= last {
					t.Errorf("sent %s after the time %d", p, last)
				}
				last = p.time
				text := p.String()
				sent = append(sent, text[strings.LastIndex(text, " ")+1:])
			}
		}
		if got := strings.Join(sent, " "); got != "20 20 20 stale 20 20" {
			t.Errorf("sent %s, want 20 again after the end of the other job's series", got)
		}
	})
}
