package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestPlainEvents checks that events of several targets that an earlier build has counted do not count again. It saved their IDs without
// their targets. Such an ID counts for no target as long as it is remembered; after that, each target has its own.
func TestPlainEvents(t *testing.T) {
	d := &metric.Desc{
		Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 8,
		Targeted: true, LabelNames: []string{metric.MoreLabels},
	}
	target := func(name string) string { return metric.PackLabels([]metric.Label{{Name: "instance", Value: name}}) }
	rows := func(mark func(target, id string) string, events ...string) (m metric.Measured) {
		m.Desc = d
		for _, e := range events {
			m.Rows = append(m.Rows, metric.Reading{Value: 1, Labels: []string{target(e[:1])}, Event: mark(target(e[:1]), e[1:])})
		}
		return m
	}
	before := New(For(time.Hour), 10)
	before.Journal(false)
	mustApply(t, before, epoch(), rows(func(_, id string) string { return id }, "a1", "b1", "b2", "a3"))
	records := [][]byte{before.Changes(false)}
	l := New(For(time.Hour), 10)
	l.Journal(false)
	restart := func() {
		t.Helper()
		l = New(For(time.Hour), 10)
		l.Journal(false)
		if err := l.Restore(records...); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	for i, c := range []struct {
		after  time.Duration
		events []string
		want   string // the totals of the targets a and b
	}{
		{time.Minute, []string{"a1", "b1"}, "2 1"},
		{2 * time.Minute, []string{"a1", "b1", "a2", "b2"}, "2 1"}, // whether a had the event 2 is not known
		{3 * time.Minute, []string{"a1", "b4"}, "2 2"},
		{4 * time.Minute, []string{"b3", "b4"}, "2 2"},
		{40 * time.Minute, []string{"b3", "b4"}, "2 2"},
		{68 * time.Minute, []string{"a3", "b4"}, "3 2"}, // 3 was last seen at b, and is forgotten as an event of an unknown target
		{69 * time.Minute, []string{"a4", "b4"}, "4 2"},
	} {
		at := epoch().Add(c.after)
		r := mustApply(t, l, at, rows(metric.TargetEvent, c.events...))
		got := fmt.Sprint(r.Families[0].Series[0].Value, r.Families[0].Series[1].Value)
		if got != c.want || len(r.Drops) > 0 {
			t.Errorf("tick %d: totals %s, want %s; drops %v", i, got, c.want, r.Drops)
		}
		records = append(records, l.Changes(false))
		restart()
	}
}

// TestEventsOfOneInstance checks that the events of a target do not count again when its IDs change, because another target with its job and
// instance has come or gone, also if that happens at a restart.
func TestEventsOfOneInstance(t *testing.T) {
	d := &metric.Desc{
		Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 100,
		Targeted: true, LabelNames: []string{metric.MoreLabels},
	}
	place := metric.PackLabels([]metric.Label{{Name: "instance", Value: "i"}})
	target := func(team string) string {
		return metric.PackLabels([]metric.Label{{Name: "instance", Value: "i"}, {Name: "team", Value: team}})
	}
	for _, restarts := range []bool{false, true} {
		l := New(For(time.Hour), 10)
		l.Journal(false)
		var records [][]byte
		for i, c := range []struct {
			alone  bool
			events string // team and event
			want   string
		}{
			{true, "x1", "1"},
			{false, "x1 y1", "1"},         // whether x or y had the event 1 is not known
			{false, "x1 y1 x2 y2", "2 1"}, // each has its own event 2
			{true, "x1 x2", "2 1"},        // y is gone
			{true, "x1 x2 x3", "3 1"},     // a new event
			{false, "x1 x2 x3 y2", "3 1"}, // y is back
			{true, "y2 y4", "3 2"},        // x is gone
			{false, "x1 x2 x3 y4", "3 2"}, // x is back
			{false, "x5 y5 x1 y4", "4 3"}, // new events
			{false, "x5 y5 x5 y5", "4 3"}, // and again
		} {
			m := metric.Measured{Desc: d, EventWas: func(event string) string {
				mark, id, _ := metric.CutTarget(event)
				switch {
				case !c.alone:
					return metric.TargetEvent(place, id)
				case mark == place:
					return metric.TargetEvent(target(c.events[:1]), id)
				}
				return ""
			}}
			for _, e := range strings.Fields(c.events) {
				mark := target(e[:1])
				if c.alone {
					mark = place
				}
				m.Rows = append(m.Rows, metric.Reading{Value: 1, Labels: []string{target(e[:1])}, Event: metric.TargetEvent(mark, e[1:])})
			}
			r := mustApply(t, l, epoch().Add(time.Duration(i)*time.Minute), m)
			var got []string
			for _, s := range r.Families[0].Series {
				got = append(got, fmt.Sprint(s.Value))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("restarts %v, tick %d: totals %s, want %s", restarts, i, text, c.want)
			}
			records = append(records, l.Changes(false))
			if restarts {
				l = New(For(time.Hour), 10)
				l.Journal(false)
				if err := l.Restore(records...); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
