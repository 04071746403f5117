package targets_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/targets"
)

// fleet is targets whose readings are made up.
type fleet struct {
	list     []*sources.Target
	problems []error
	do       func(ctx context.Context, t *sources.Target, tick sources.Tick) (metric.Readings, error)
}

func (f *fleet) Discover(context.Context, sources.Tick) ([]*sources.Target, []error) {
	return f.list, f.problems
}
func (f *fleet) NewFetcher() sources.TargetFetcher { return &pointer{} }

// pointer is a fetcher that only knows its target.
type pointer struct {
	sources.Fetcher
	at *sources.Target
}

func (p *pointer) Use(t *sources.Target) { p.at = t }

// computer is a source that asks the fleet for readings.
type computer struct {
	fleet *fleet
	fetch *pointer
}

func (c *computer) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	return c.fleet.do(ctx, c.fetch.at, tick)
}

func open(t *testing.T, f *fleet, workers int) *targets.Source {
	t.Helper()
	s, err := targets.New(f, workers, slog.New(slog.DiscardHandler), func(fetch sources.Fetcher) (sources.Source, error) {
		return &computer{f, fetch.(*pointer)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(name string, labels ...metric.Label) *sources.Target {
	all := append(metric.Labels{{Name: "instance", Value: name}, {Name: "job", Value: "j"}}, labels...)
	slices.SortFunc(all, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	return &sources.Target{Name: name, Labels: all}
}

// lines returns readings as text, a line each.
func lines(readings metric.Readings) []string {
	var all []string
	for _, m := range readings {
		for _, row := range m.Rows {
			all = append(all, fmt.Sprintf("%s%s %v", m.Desc.Name, m.Desc.LabelSet(row.Labels), row.Value))
		}
		for _, x := range m.Series {
			if m.Desc.Name == "up" {
				all = append(all, fmt.Sprintf("up%s %v", x.Labels, x.Value))
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestEveryReadingIsThere runs several workers. Each reading of each target that answers must be there exactly once, with the labels of its
// target. The metric named up must be 0 for each target that fails.
func TestEveryReadingIsThere(t *testing.T) {
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 1))
		f := &fleet{}
		answers := map[*sources.Target][]float64{} // nil = it fails
		for i := range 1 + dice.IntN(40) {
			x := target(fmt.Sprint("t", i), metric.Label{Name: "room", Value: fmt.Sprint(i % 3)})
			f.list = append(f.list, x)
			answers[x] = nil
		}
		descs := &sync.Map{} // equal descriptions at different addresses, as those of different workers
		f.do = func(_ context.Context, x *sources.Target, _ sources.Tick) (metric.Readings, error) {
			if answers[x] == nil {
				return nil, errors.New(x.Name + " is down")
			}
			d, _ := descs.LoadOrStore(x.Name[:2], &metric.Desc{Name: "m", Type: metric.Gauge, LabelNames: []string{"n"}})
			var rows []metric.Reading
			for i, v := range answers[x] {
				rows = append(rows, metric.Reading{Labels: []string{fmt.Sprint(i)}, Value: v})
			}
			return metric.Readings{{Desc: d.(*metric.Desc), Rows: rows}}, nil
		}
		s := open(t, f, 1+dice.IntN(8))
		for range 5 {
			var want []string
			for _, x := range f.list {
				answers[x] = nil
				up := 0
				if dice.IntN(3) > 0 {
					answers[x], up = make([]float64, 1+dice.IntN(4)), 1
				}
				want = append(want, fmt.Sprintf("up%s %d", x.Labels, up))
				for i := range answers[x] {
					answers[x][i] = float64(dice.IntN(9))
					want = append(want, fmt.Sprintf("m%s %v", metric.Labels{x.Labels[0], x.Labels[1], {Name: "n", Value: fmt.Sprint(i)}, x.Labels[2]}, answers[x][i]))
				}
			}
			got, err := s.Collect(t.Context(), sources.Tick{Time: time.Unix(0, 0)})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			if now := lines(got); !slices.Equal(now, want) {
				t.Fatalf("seed %d: %q\nwant %q", seed, now, want)
			}
		}
	}
}

// TestElsewhere checks that the number of a metric's readings includes the readings of all targets that are passed on under other names
// (Elsewhere).
func TestElsewhere(t *testing.T) {
	d := &metric.Desc{Name: "named", Type: metric.Gauge}
	f := &fleet{list: []*sources.Target{target("a"), target("b")}}
	f.do = func(context.Context, *sources.Target, sources.Tick) (metric.Readings, error) {
		return metric.Readings{{Desc: d, Elsewhere: 2, Drops: []metric.Drop{{Reason: metric.Unnamed, Count: 1, First: "x"}}}}, nil
	}
	got, err := open(t, f, 1).Collect(t.Context(), sources.Tick{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		if m.Desc.Name == "named" && (m.Count() != 6 || m.Err != nil) {
			t.Errorf("%d readings, %v", m.Count(), m.Err)
		}
	}
}

// TestFailuresStayApart checks that a target does not affect the others if its source panics or hangs, or returns a metric in
// another form.
func TestFailuresStayApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := &metric.Desc{Name: "m", Type: metric.Gauge}, &metric.Desc{Name: "m", Type: metric.Counter}
		f := &fleet{list: []*sources.Target{target("good"), target("panics"), target("hangs"), target("other"), target("series")}, problems: []error{errors.New("a file is broken")}}
		f.do = func(ctx context.Context, x *sources.Target, _ sources.Tick) (metric.Readings, error) {
			switch x.Name {
			case "panics":
				panic("oh no")
			case "hangs":
				<-ctx.Done()
				return nil, context.Cause(ctx)
			case "other":
				time.Sleep(time.Second) // so that the good one is the first
				return metric.Readings{{Desc: bad, Rows: []metric.Reading{{Value: 2}}}}, nil
			case "series":
				return metric.Readings{{Desc: good, Series: []metric.Series{{Value: 3}}}}, nil
			}
			return metric.Readings{{Desc: good, Rows: []metric.Reading{{Value: 1}}}}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := open(t, f, 8).Collect(ctx, sources.Tick{Interval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			`m{instance="good",job="j"} 1`, `up{instance="good",job="j"} 1`, `up{instance="hangs",job="j"} 0`,
			`up{instance="other",job="j"} 1`, `up{instance="panics",job="j"} 0`, `up{instance="series",job="j"} 1`,
		}
		if now := lines(got); !slices.Equal(now, want) {
			t.Errorf("%q\nwant %q", now, want)
		}
		wantErr := "a file is broken; panics: source panicked: oh no; " + targets.ErrTimeout.Error() + "; and 2 more"
		if got[0].Err == nil || got[0].Err.Error() != wantErr {
			t.Errorf("the problem is %v, want %s", got[0].Err, wantErr)
		}
		if m := got[len(got)-1]; len(m.Drops) != 1 || m.Drops[0].Reason != metric.Failed || m.Drops[0].Count != 2 {
			t.Errorf("m has the drops %v", m.Drops)
		}
	})
}

// TestWindowOfATarget checks that the window of a target begins where its own last success ends.
func TestWindowOfATarget(t *testing.T) {
	var starts []time.Time
	var down atomic.Bool
	f := &fleet{list: []*sources.Target{target("a")}}
	f.do = func(_ context.Context, _ *sources.Target, tick sources.Tick) (metric.Readings, error) {
		starts = append(starts, tick.Start)
		if down.Load() {
			return nil, errors.New("down")
		}
		return nil, nil
	}
	s := open(t, f, 1)
	at := func(minute int) time.Time { return time.Unix(0, 0).Add(time.Duration(minute) * time.Minute) }
	for minute, isDown := range []bool{false, true, true, false, false} {
		down.Store(isDown)
		if _, err := s.Collect(t.Context(), sources.Tick{Start: at(minute), End: at(minute + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []time.Time{at(0), at(1), at(1), at(1), at(4)}; !slices.Equal(starts, want) {
		t.Errorf("the windows begin at %v, want %v", starts, want)
	}
}

// TestEventsOfTargets checks that the event IDs of a target differ from those of every other target, and stay the same if only labels of the
// target change that do not identify it.
func TestEventsOfTargets(t *testing.T) {
	d := &metric.Desc{Name: "e_total", Type: metric.Counter, From: metric.Events, Once: true}
	room := func(r string) metric.Label { return metric.Label{Name: "room", Value: r} }
	f := &fleet{do: func(context.Context, *sources.Target, sources.Tick) (metric.Readings, error) {
		return metric.Readings{{Desc: d, Rows: []metric.Reading{{Value: 1, Event: "1"}, {Value: 1}}}}, nil
	}}
	s := open(t, f, 2)
	var was func(event string) string // that of the last tick
	events := func(list ...*sources.Target) (ids []string) {
		t.Helper()
		f.list = list
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		rows := readings[len(readings)-1].Rows
		was = readings[len(readings)-1].EventWas
		for i := range list {
			if _, id, ok := metric.CutTarget(rows[2*i].Event); id != "1" || !ok || rows[2*i+1].Event != "" {
				t.Errorf("the target %s has the events %q and %q", list[i].Labels, rows[2*i].Event, rows[2*i+1].Event)
			}
			ids = append(ids, rows[2*i].Event)
		}
		return ids
	}
	a, b := target("a"), target("b")
	first := events(a, b)
	if first[0] == first[1] {
		t.Errorf("two targets have the event %q", first[0])
	}
	if got := events(b, target("a", room("kitchen"))); got[0] != first[1] || got[1] != first[0] {
		t.Errorf("the events are %q after a label has changed, and were %q", got, first)
	}
	if got := events(a, target("a", room("hall")), target("a", room("attic")), b); got[0] == got[1] || got[1] == got[2] || got[0] == got[2] || got[3] != first[1] {
		t.Errorf("targets with the same instance have the events %q", got)
	}
	hall, attic := target("a", room("hall")), target("a", room("attic"))
	alone := events(hall, b)
	if other := was(alone[1]); other != "" || alone[0] != first[0] {
		t.Errorf("alone, the events are %q, and the second was %q", alone, other)
	}
	earlier := was(alone[0])
	both := events(attic, hall)
	if both[1] != earlier || was(both[0]) != alone[0] || was(both[1]) != alone[0] {
		t.Errorf("the events were %q, %q and %q, and are now %q", earlier, was(both[0]), was(both[1]), both)
	}
}

// TestTotalsOfOneInstance checks that the totals of a target do not end if another target has the same job and instance, and end with the
// target.
func TestTotalsOfOneInstance(t *testing.T) {
	d := &metric.Desc{Name: "e_total", Type: metric.Counter, From: metric.Events, Once: true}
	f := &fleet{do: func(context.Context, *sources.Target, sources.Tick) (metric.Readings, error) {
		return metric.Readings{{Desc: d, Rows: []metric.Reading{{Value: 1, Event: "1"}}}}, nil
	}}
	s := open(t, f, 1)
	hall, attic := target("a", metric.Label{Name: "room", Value: "hall"}), target("a", metric.Label{Name: "room", Value: "attic"})
	for _, list := range [][]*sources.Target{{hall, attic}, {attic, hall}, {attic}} {
		f.list = list
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []*sources.Target{hall, attic} {
			if got, want := readings[len(readings)-1].Ended(metric.NewLabelSet(x.Labels)), !slices.Contains(list, x); got != want {
				t.Errorf("%d targets: the total of %s has ended: %v, want %v", len(list), x.Labels, got, want)
			}
		}
	}
}

// TestAnswersOfTargets checks that the answers of the targets describe all rows of a metric in their order, whatever the targets give.
func TestAnswersOfTargets(t *testing.T) {
	increments := &metric.Desc{Name: "a_total", Type: metric.Counter, From: metric.Increment}
	sum := &metric.Desc{Name: "sum", Type: metric.Gauge, From: metric.Increment, OnDuplicate: metric.DuplicateSum}
	f := &fleet{list: []*sources.Target{target("a"), target("b"), target("c"), target("d")}}
	f.do = func(_ context.Context, x *sources.Target, _ sources.Tick) (metric.Readings, error) {
		some := []metric.Reading{{Value: 1}, {Value: 2}}
		switch x.Name {
		case "a":
			return metric.Readings{
				{Desc: increments, Rows: some, Answers: []metric.Answer{{ID: 7, Rows: 2}}},
				{Desc: sum, Answers: []metric.Answer{{ID: 7}}},
			}, nil
		case "b":
			return metric.Readings{{Desc: increments, Rows: some}, {Desc: sum}}, nil
		case "c":
			return metric.Readings{{Desc: increments, Err: errors.New("no")}, {Desc: sum, Rows: some[:1], Answers: []metric.Answer{{ID: 8, Rows: 1}}}}, nil
		}
		return metric.Readings{{Desc: increments, Rows: some[:1], Answers: []metric.Answer{{ID: 9, Rows: 1}}}, {Desc: sum, Rows: some[:1], Answers: []metric.Answer{{ID: 9, Rows: 1}}}}, nil
	}
	s := open(t, f, 2)
	for range 2 {
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"a_total": "7 7 0 0 9", "sum": "0 0 8 9"}
		for _, m := range readings[2:] {
			var ids []string
			for _, a := range m.Answers {
				for range a.Rows {
					ids = append(ids, fmt.Sprint(a.ID))
				}
				if name := map[uint64]string{7: "a", 8: "c", 9: "d"}[a.ID]; name != "" && a.Target != metric.PackLabels(target(name).Labels) {
					t.Errorf("%s: the answer %d is of %q", m.Desc.Name, a.ID, a.Target)
				}
			}
			if got := strings.Join(ids, " "); got != want[m.Desc.Name] || len(ids) != len(m.Rows) {
				t.Errorf("%s: %d rows of the answers %s, want %s", m.Desc.Name, len(m.Rows), got, want[m.Desc.Name])
			}
		}
	}
}
