package encode

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

func TestStaleNaN(t *testing.T) {
	if !value.IsStaleNaN(staleNaN()) || value.IsStaleNaN(normalNaN(staleNaN())) {
		t.Error("the staleness marker is not that of Prometheus, or a NaN becomes one")
	}
}

func TestFormatBound(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 2.5, 100, 1e6, 1e21, 1e-9, 1.0 / 3, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64} {
		if got, want := formatBound(f), labels.FormatOpenMetricsFloat(f); got != want {
			t.Errorf("%g is formatted as %s, want %s", f, got, want)
		}
	}
}

// TestMetadataSchedule checks that the metadata of a family is due once in each interval, and that a family that is no longer sent
// is forgotten.
func TestMetadataSchedule(t *testing.T) {
	a, b := &metric.Desc{Name: "a"}, &metric.Desc{Name: "b"}
	var m metadataSchedule
	now := time.UnixMilli(0)
	due := func(want ...bool) {
		t.Helper()
		for i, d := range []*metric.Desc{a, b, a} {
			if got := m.due(d, now); got != want[i] {
				t.Errorf("%s is due: %t, want %t", d.Name, got, want[i])
			}
		}
	}
	due(true, true, false)
	now = now.Add(metadataInterval - 1)
	due(false, false, false)
	now = now.Add(1)
	due(true, true, false)
	now = now.Add(time.Hour)
	if m.due(a, now); len(m.sent) != 1 {
		t.Errorf("%d families are remembered, want the one that is still sent", len(m.sent))
	}
}

// TestClosedSeriesAreForgotten checks that closed series are remembered only for a limited time and up to a limited number. If the receiver
// perhaps has later samples of a forgotten series, no zero is sent for this series.
func TestClosedSeriesAreForgotten(t *testing.T) {
	now := time.UnixMilli(1e12)
	r := newRegistry(now)
	d := &metric.Desc{Name: "x"}
	end := func(room string, last int64) {
		s := r.open([]metric.Label{{Name: "room", Value: room}}, d, 1)
		s.last = last
		r.close(s)
	}
	end("a", 1e12+1000)
	end("b", 1e12+2000)
	r.forget(1e12 + 1001 + rememberClosed.Milliseconds())
	a, b := r.open([]metric.Label{{Name: "room", Value: "a"}}, d, 2), r.open([]metric.Label{{Name: "room", Value: "b"}}, d, 2)
	if a.last != 0 || b.last != 1e12+2000 || r.floor != 1e12+1000 {
		t.Errorf("a has %d, b %d, the floor is %d", a.last, b.last, r.floor)
	}
	if r.startsAt(a, 1e12+1000, 1e12+5000) || !r.startsAt(a, 1e12+1001, 1e12+5000) {
		t.Error("a zero must be after what may have been sent")
	}
	for i := range maxClosed + 10 {
		end(string(rune(i+1000)), 1e12+3000)
	}
	r.forget(1e12 + 3000)
	if len(r.closed) > maxClosed || len(r.order) > maxClosed {
		t.Errorf("%d closed series are remembered", len(r.closed))
	}
}

// TestHashesCollide checks that two series with the same hash stay two series.
func TestHashesCollide(t *testing.T) {
	r := newRegistry(time.UnixMilli(0))
	d := &metric.Desc{Name: "x"}
	a := []metric.Label{{Name: "room", Value: "a"}}
	r.live.put(&series{wire: r.table.Series([]metric.Label{{Name: "room", Value: "b"}}, d), hash: r.hash(a)})
	first := r.open(a, d, 1)
	first.last = 5
	if again := r.open(a, d, 2); again.last != 5 || again.wire.String() != `{room="a"}` || r.live.used != 2 {
		t.Errorf("got %+v with %d series", again, r.live.used)
	}
}

// TestEndedSeriesAreClosed checks that a series that continues stays the same series, also over a reload. A series that ends is closed. A
// job without series is forgotten.
func TestEndedSeriesAreClosed(t *testing.T) {
	e := New(Options{
		Target: func(job string) []metric.Label { return []metric.Label{{Name: "job", Value: job}} },
		Shards: 1, MaxSamples: 1000, Dropped: func(reason metric.Reason, n int) { t.Errorf("%d samples dropped as %s", n, reason) },
	}, time.Now())
	at := time.Now()
	encode := func(rooms ...string) (samples int) {
		at = at.Add(time.Second)
		d := &metric.Desc{Name: "x", Type: metric.Gauge, LabelNames: []string{"room"}} // a new description, as after a reload
		f := metric.Family{Desc: d}
		for _, room := range rooms {
			f.Series = append(f.Series, metric.Series{Labels: d.LabelSet([]string{room}), Value: 1})
		}
		for _, r := range e.Encode(&metric.Batch{Job: "j", Time: at, Families: []metric.Family{f}}, false, Format{wire.V2, 1 << 20}) {
			samples += r.Samples
		}
		return samples
	}
	for i, c := range []struct {
		rooms               []string
		samples, live, jobs int
	}{
		{[]string{"a", "b"}, 2, 2, 1},
		{[]string{"a", "b"}, 2, 2, 1},
		{[]string{"b"}, 2, 1, 1}, // a sample and a marker
		{nil, 1, 0, 0},
		{nil, 0, 0, 0},
	} {
		if n := encode(c.rooms...); n != c.samples || e.registry.live.used != c.live || len(e.Jobs()) != c.jobs {
			t.Errorf("batch %d has %d samples, %d series are open, of the jobs %v; want %+v", i, n, e.registry.live.used, e.Jobs(), c)
		}
	}
}
