package remotewrite

import (
	"context"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// writeEvery hands over a batch of a job with this interval.
func (r *rig) writeEvery(every time.Duration, families ...metric.Family) {
	r.Helper()
	b := metric.Batch{Job: "slow", Time: time.Now(), Every: every, Families: families}
	if err := r.sink.Write(context.Background(), b); err != nil {
		r.Fatalf("Write: %v", err)
	}
}

func TestASlowJobHasNoGaps(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		began := time.Now()
		calls := counter("calls_total", 7, began.Add(-time.Hour), "a")
		own := gauge("measured", 3, "a")
		own.Series[0].Time = time.Now().Add(-time.Minute).UnixMilli()
		r.writeEvery(time.Hour, gauge("temp", 20, "a"), calls, own)
		for range 59 {
			r.tick()
		}
		for _, minute := range []int{0, 4, 6, 30, 59} {
			at := began.Add(time.Duration(minute)*time.Minute + time.Second)
			s.want(t, at, "temp", 20)
			s.want(t, at, "calls_total", 7)
		}
		s.want(t, began.Add(6*time.Minute), "measured", gone)
		s.want(t, began.Add(30*time.Minute), "count_over_time(temp[30m])", 30)
		r.writeEvery(time.Hour, gauge("temp", 21, "a"), calls)
		r.tick()
		s.want(t, time.Now(), "temp", 21)
		r.writeEvery(time.Hour) // the job's end
		r.tick()
		s.want(t, time.Now(), "temp", gone)
		for range 10 {
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[9m])", gone)
		for reason, n := range r.stats.Dropped() {
			t.Errorf("%d samples are dropped as %s", n, reason)
		}
	})
}

func TestAQuickJobIsSentOnce(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		r.writeEvery(4*time.Minute, gauge("temp", 20, "a"))
		for range 4 {
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 1)
	})
}

func TestATickThatEndsBehindARepetitionIsTold(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		r.writeEvery(5*time.Minute, gauge("temp", 20, "a"))
		for range 5 {
			r.tick()
		}
		// The tick began before the last repetition, and its batch comes after it.
		late := metric.Batch{Job: "slow", Time: time.Now().Add(-30 * time.Second), Every: 5 * time.Minute, Families: []metric.Family{gauge("temp", 21, "a")}}
		if err := r.sink.Write(context.Background(), late); err != nil {
			t.Fatal(err)
		}
		r.tick()
		s.want(t, time.Now(), "temp", 21)
		if n := len(r.stats.Dropped()); n > 0 {
			t.Errorf("samples are dropped: %v", r.stats.Dropped())
		}
	})
}
