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

// withPoints returns a family whose only series has a point at each of these times, in seconds since the time "began".
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

// TestPoints checks that the receiver gets each point of a series once, and that points out of the bounds or out of order are left out.
func TestPoints(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) {
		c.MaxSampleAge, c.Request.MaxSamples = setting.Duration(time.Hour), 2
	}
	inEveryProtocol(t, change, func(r *rig, s *server) {
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
		r.wantDropped(sinks.Past, 2)
		r.wantDropped(sinks.NotNewer, 4)
		r.wantDropped(metric.Future, 2)
	})
}

// TestPointsAreNotSentAgain checks that samples with their own timestamps are not sent again between the runs of a slow job.
func TestPointsAreNotSentAgain(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
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

// TestPointOfZeroIsKept checks a point with the value zero in a rejected 1.0 request. Such a request has no start timestamps. All the same,
// the sink does not take the point for a zero that it has added itself, and so does not leave the point out.
func TestPointOfZeroIsKept(t *testing.T) {
	d := &fakeReceiver{}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		d.set(func(w http.ResponseWriter, q request) {
			if slices.ContainsFunc(q.points, func(p point) bool { return p.value == 90 }) {
				http.Error(w, "out of order sample", 400)
				return
			}
			acceptAll(w, q)
		})
		temp := gauge("temp", 0, "a")
		r.write("j", withPoints(&temp, r.began, -30, 0, 60, 90))
		r.tick()
		r.wantDropped(sinks.Refused, 1)
	})
}

// TestPointAfterReload checks that a point that was sent before a reload is not sent again.
func TestPointAfterReload(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
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

// TestPointThatReturnsIsCountedOnce checks a point that was sent, and that comes again after its series was gone. The point is counted once
// as not newer, even if it comes again several times.
func TestPointThatReturnsIsCountedOnce(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		temp, other := gauge("temp", 0, "a"), gauge("other", 1, "a")
		r.write("j", withPoints(&temp, r.began, -60), other)
		r.tick()
		r.write("j", other)
		r.tick()
		for range 3 {
			r.write("j", withPoints(&temp, r.began, -60), other)
			r.tick()
		}
		r.wantDropped(sinks.NotNewer, 1)
	})
}
