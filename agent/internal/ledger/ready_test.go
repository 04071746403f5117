package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestReadyMade holds that series which come ready-made are passed on as they are, and nothing of them is remembered.
func TestReadyMade(t *testing.T) {
	l := New(For(time.Hour), 3)
	up := &metric.Desc{Name: "up", Type: metric.Gauge}
	load := &metric.Desc{Name: "load", Type: metric.Gauge}
	ready := func(n int) metric.Measured {
		m := metric.Measured{Desc: up, Series: make([]metric.Series, n)}
		for i := range m.Series {
			m.Series[i] = metric.Series{Labels: &metric.LabelSet{}, Value: float64(i)}
		}
		return m
	}
	broken := ready(2)
	broken.Err = errors.New("a target is down")
	broken.Drops = []metric.Drop{{Reason: metric.Duplicate, Count: 4}}
	r, err := l.Apply(epoch(), metric.Readings{broken, {Desc: load, Rows: []metric.Reading{{Value: 7}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Families) != 2 || r.Families[0].Desc != up || &r.Families[0].Series[0] != &broken.Series[0] || r.Series != 3 || r.Readings != 3 {
		t.Errorf("the tick gives %+v", r)
	}
	if len(r.Problems) != 1 || r.Problems[0].Metric != "up" || r.Problems[0].Err != broken.Err || len(r.Drops) != 1 || r.Drops[0].Count != 4 {
		t.Errorf("the tick tells %v and %v", r.Problems, r.Drops)
	}
	if _, err := l.Apply(epoch().Add(time.Minute), metric.Readings{ready(3), {Desc: load, Rows: []metric.Reading{{Value: 7}}}}); err == nil || err.Error() != "4 series are more than max_series (3)" {
		t.Errorf("too many series end in %v", err)
	}
	r, err = l.Apply(epoch().Add(2*time.Minute), metric.Readings{ready(0), {Desc: load, Rows: []metric.Reading{{Value: 8}}}})
	if err != nil || len(r.Families) != 1 || r.Families[0].Desc != load || r.Series != 1 {
		t.Errorf("what is gone is still there: %+v, %v", r, err)
	}
}
