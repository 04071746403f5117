package remotewrite

import (
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

func TestSamplesOutOfBoundsAreLeftOutSingly(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) { c.MaxSampleAge = setting.Duration(time.Hour) }
	inBoth(t, change, func(r *rig, s *server) {
		family := gauge("temp", 20, "a")
		now := time.Now()
		for i, at := range []time.Duration{-time.Hour, -time.Hour - time.Millisecond, 10 * time.Minute, 10*time.Minute + time.Millisecond} {
			one := gauge("temp", float64(i), string(rune('b'+i))).Series[0]
			one.Time = now.Add(at).UnixMilli()
			family.Series = append(family.Series, one)
		}
		r.write("rooms", family)
		r.tick()
		s.want(t, now.Add(11*time.Minute), "count(count_over_time(temp[2h]))", 3)
		r.drops(metric.Future, 1)
		r.drops(sinks.Past, 1)
	})
}

func TestSeriesEndAtTheExitOnlyWhereAskedFor(t *testing.T) {
	for _, stale := range []bool{false, true} {
		change := func(c *Config, _ *sinks.Env) { c.StaleOnExit = stale }
		inBoth(t, change, func(r *rig, s *server) {
			r.write("rooms", gauge("temp", 20, "a"))
			r.tick()
			r.stop()
			want := 20.0
			if stale {
				want = gone
			}
			s.want(t, time.Now().Add(time.Second), "temp", want)
		})
	}
}
