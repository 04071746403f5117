package encode

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/collectington/collectington/agent/metric"
)

func TestStaleIsPrometheus(t *testing.T) {
	if !value.IsStaleNaN(staleNaN()) || value.IsStaleNaN(normalNaN(staleNaN())) {
		t.Error("the staleness marker is not Prometheus' own")
	}
}

func TestBoundsAreWrittenAsPrometheusDoes(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 2.5, 100, 1e6, 1e21, 1e-9, 1.0 / 3, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64} {
		if got, want := formatBound(f), labels.FormatOpenMetricsFloat(f); got != want {
			t.Errorf("%g is written %s, want %s", f, got, want)
		}
	}
}

// A family is told once in a minute, and one that is told no more is forgotten.
func TestMetadataIsTold(t *testing.T) {
	a, b := &metric.Desc{Name: "a"}, &metric.Desc{Name: "b"}
	var m metadataSchedule
	now := time.UnixMilli(0)
	told := func(want ...bool) {
		t.Helper()
		for i, d := range []*metric.Desc{a, b, a} {
			if got := m.due(d, now); got != want[i] {
				t.Errorf("%s is due: %t, want %t", d.Name, got, want[i])
			}
		}
	}
	told(true, true, false)
	now = now.Add(metadataInterval - 1)
	told(false, false, false)
	now = now.Add(1)
	told(true, true, false)
	now = now.Add(time.Hour)
	if m.due(a, now); len(m.sent) != 1 {
		t.Errorf("%d families are remembered, want the one that is still told", len(m.sent))
	}
}

// What is remembered of ended series is bounded by time and number, and what is forgotten gets no zero.
func TestEndedSeriesAreForgotten(t *testing.T) {
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
		t.Error("a zero is true only after what may have been sent")
	}
	for i := range maxClosed + 10 {
		end(string(rune(i+1000)), 1e12+3000)
	}
	r.forget(1e12 + 3000)
	if len(r.closed) > maxClosed || len(r.order) > maxClosed {
		t.Errorf("%d ended series are remembered", len(r.closed))
	}
}

// Two series of one hash stay two.
func TestHashesCollide(t *testing.T) {
	r := newRegistry(time.UnixMilli(0))
	d := &metric.Desc{Name: "x"}
	a := []metric.Label{{Name: "room", Value: "a"}}
	r.live[r.hash(a)] = &series{wire: r.table.Series([]metric.Label{{Name: "room", Value: "b"}}, d), hash: r.hash(a)}
	first := r.open(a, d, 1)
	first.last = 5
	if again := r.open(a, d, 2); again.last != 5 || again.wire.String() != `{room="a"}` || len(r.live) != 2 {
		t.Errorf("got %+v with %d series", again, len(r.live))
	}
}
