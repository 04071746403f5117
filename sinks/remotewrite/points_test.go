package remotewrite

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

// withPoints gives a family's only series a value for each of these times, in seconds since began: the last is its own.
func withPoints(f *metric.Family, began time.Time, seconds ...int) metric.Family {
	at := func(i int) int64 { return began.Add(time.Duration(seconds[i]) * time.Second).UnixMilli() }
	s, last := f.Series[0], len(seconds)-1
	f.Earlier = map[*metric.LabelSet][]metric.Point{}
	for i := range last {
		f.Earlier[s.Labels] = append(f.Earlier[s.Labels], metric.Point{Time: at(i), Value: float64(seconds[i]), Start: s.Start})
	}
	s.Time, s.Value = at(last), float64(seconds[last])
	return metric.Family{Desc: f.Desc, Series: []metric.Series{s}, Earlier: f.Earlier}
}

// TestPoints holds that a receiver gets all points of a series, each once, and that the guards hold for each of them.
func TestPoints(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) {
		c.MaxSampleAge, c.Request.MaxSamples = setting.Duration(time.Hour), 2
	}
	inBoth(t, change, func(r *rig, s *server) {
		temp, calls := gauge("temp", 0, "a"), counter("calls_total", 0, r.began.Add(-time.Hour), "a")
		batch := func(seconds ...int) {
			r.write("j", withPoints(&temp, r.began, seconds...), withPoints(&calls, r.began, seconds...))
			r.tick()
		}
		batch(-4000, -120, -90, 0, 30) // the first is too old
		batch(30)                      // nothing new
		batch(20, 60, 90)              // the first is not newer
		batch(90, 1000)                // the last is too far ahead
		for _, query := range []string{"sum_over_time(temp[10m])", "sum_over_time(calls_total[10m])"} {
			s.want(t, r.began.Add(2*time.Minute), query, -120-90+0+30+60+90)
		}
		s.want(t, r.began.Add(2*time.Minute), "count_over_time(temp[2h])", 6)
		r.drops(sinks.Past, 2)
		r.drops(sinks.NotNewer, 4)
		r.drops(metric.Future, 2)
	})
}

// TestASlowJobRepeatsNoPoints holds that what has a time of its own is not sent again between ticks.
func TestASlowJobRepeatsNoPoints(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		temp := gauge("temp", 0, "a")
		r.writeEvery(time.Hour, withPoints(&temp, r.began, -120, -60))
		for range 5 {
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 2)
		for reason, n := range r.stats.Dropped() {
			t.Errorf("%d samples are dropped as %s", n, reason)
		}
	})
}

// TestAPointOfZeroIsNotOurs holds that of a refused request in 1.0, which does not tell our zeros by a start, no point of
// the API's is taken for one.
func TestAPointOfZeroIsNotOurs(t *testing.T) {
	d := &double{}
	receiving(t, d, speaking(Protocol1), func(r *rig) {
		d.set(func(w http.ResponseWriter, q request) {
			if slices.ContainsFunc(q.points, func(p point) bool { return p.value == 90 }) {
				http.Error(w, "out of order sample", 400)
				return
			}
			takes(w, q)
		})
		temp := gauge("temp", 0, "a")
		r.write("j", withPoints(&temp, r.began, -30, 0, 60, 90))
		r.tick()
		r.drops(sinks.Refused, 1)
	})
}

// TestAPointIsKnownAfterAReload holds that a series of a job that was changed, and has nothing new to tell, says nothing.
func TestAPointIsKnownAfterAReload(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		for range 2 {
			temp := gauge("temp", 0, "a")
			for range 3 {
				r.write("j", withPoints(&temp, r.began, -60))
				r.tick()
			}
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 1)
		for reason, n := range r.stats.Dropped() {
			t.Errorf("%d samples are dropped as %s", n, reason)
		}
	})
}

// TestAPointThatComesBackIsCountedOnce holds that a point of a series which was gone is counted as not newer once, however
// often it is shown again.
func TestAPointThatComesBackIsCountedOnce(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		temp, other := gauge("temp", 0, "a"), gauge("other", 1, "a")
		r.write("j", withPoints(&temp, r.began, -60), other)
		r.tick()
		r.write("j", other)
		r.tick()
		for range 3 {
			r.write("j", withPoints(&temp, r.began, -60), other)
			r.tick()
		}
		r.drops(sinks.NotNewer, 1)
	})
}
