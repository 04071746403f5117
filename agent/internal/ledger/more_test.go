package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// TestMoreLabels checks that a series has the labels whose names come with the readings, even after a restart. A declared label takes
// precedence. A total that has ended is gone.
func TestMoreLabels(t *testing.T) {
	for seed := range uint64(100) {
		dice := rand.New(rand.NewPCG(seed, 18))
		gauge := &metric.Desc{Name: "g", Type: metric.Gauge, LabelNames: []string{"b", metric.MoreLabels}, Const: []metric.Label{{Name: "d", Value: "const"}}, OnDuplicate: metric.DuplicateLast}
		total := &metric.Desc{Name: "t", Type: metric.Counter, From: metric.Increment, OnDuplicate: metric.DuplicateSum, LabelNames: []string{metric.MoreLabels, "b"}}
		lives, life := New(For(2*time.Minute), 1000), newLife(1000, dice)
		sums := map[string]float64{}
		for tick := range 20 {
			at := epoch().Add(time.Duration(tick) * time.Minute)
			now, ended := map[string]float64{}, fmt.Sprint(dice.IntN(3))
			g, c := metric.Measured{Desc: gauge}, metric.Measured{Desc: total, Ended: func(s *metric.LabelSet) bool { return s.Get("a") == ended }}
			for key := range sums {
				if d := key; len(d) > 4 && d[4:5] == ended && d[:4] == `{a="` {
					delete(sums, key)
				}
			}
			for range dice.IntN(6) {
				var more []metric.Label
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					if dice.IntN(2) == 0 {
						more = append(more, metric.Label{Name: name, Value: fmt.Sprint(dice.IntN(3))})
					}
				}
				own, packed, v := []string{"", "own"}[dice.IntN(2)], metric.PackLabels(more), float64(1+dice.IntN(9))
				g.Rows = append(g.Rows, metric.Reading{Labels: []string{own, packed}, Value: v})
				now["g"+wanted(more, own, "const")] = v
				if metric.Labels(more).Get("a") != ended {
					c.Rows = append(c.Rows, metric.Reading{Labels: []string{packed, own}, Value: v})
					sums[wanted(more, own, "")] += v
				}
			}
			for key, v := range sums {
				now["t"+key] = v
			}
			if dice.IntN(3) == 0 {
				life.restart(t)
			}
			readings := metric.Readings{g, c}
			for _, l := range []func(time.Time, metric.Readings) (*Result, error){life.apply, func(at time.Time, r metric.Readings) (*Result, error) { return apply(lives, at, r) }} {
				r, err := l(at, readings)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]float64{}
				for _, f := range r.Families {
					for i := range f.Series {
						got[f.Desc.Name+f.Series[i].Labels.String()] = f.Series[i].Value
					}
				}
				if diff := cmp.Diff(now, got); diff != "" {
					t.Fatalf("seed %d, tick %d (-want +got):\n%s", seed, tick, diff)
				}
			}
		}
	}
}

// wanted returns the labels of a series as text: those that came with it, except that a declared one takes precedence.
func wanted(more []metric.Label, b, d string) string {
	var all metric.Labels
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		value := metric.Labels(more).Get(name)
		if name == "b" && b != "" {
			value = b
		}
		if name == "d" && d != "" {
			value = d
		}
		if value != "" {
			all = append(all, metric.Label{Name: name, Value: value})
		}
	}
	return all.String()
}
