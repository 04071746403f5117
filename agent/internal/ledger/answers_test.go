package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestAnswers checks that an answer which is used again adds nothing to the totals of its target, and that an answer counts which was
// refused before.
func TestAnswers(t *testing.T) {
	d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Increment, OnDuplicate: metric.DuplicateError, LabelNames: []string{"t"}}
	row := func(target string, value float64) metric.Reading {
		return metric.Reading{Value: value, Labels: []string{target}}
	}
	l := New(For(time.Hour), 10)
	for i, c := range []struct {
		rows    []metric.Reading
		answers []metric.Answer
		want    string // the totals of a and b
	}{
		{[]metric.Reading{row("a", 1), row("b", 10)}, []metric.Answer{{Target: "a", ID: 7, Rows: 1}, {Target: "b", ID: 8, Rows: 1}}, "1 10"},
		{[]metric.Reading{row("a", 1), row("b", 20)}, []metric.Answer{{Target: "a", ID: 7, Rows: 1}, {Target: "b", ID: 9, Rows: 1}}, "1 30"},
		{[]metric.Reading{row("a", 1)}, []metric.Answer{{Target: "a", ID: 7, Rows: 1}, {Target: "b", ID: 10, Rows: 0}}, "1 30"},
		{[]metric.Reading{row("b", 20)}, []metric.Answer{{Target: "c", ID: 1, Rows: 0}, {Target: "b", ID: 9, Rows: 1}}, "1 50"}, // not the last answer of b
		{[]metric.Reading{row("a", 1), row("b", 20)}, []metric.Answer{{Target: "a", ID: 7, Rows: 1}, {Target: "b", ID: 9, Rows: 1}}, "1 50"},
		{[]metric.Reading{row("a", 2), row("a", 2)}, []metric.Answer{{Target: "a", ID: 11, Rows: 2}}, ""}, // two readings of a series
		{[]metric.Reading{row("a", 2)}, []metric.Answer{{Target: "a", ID: 11, Rows: 1}}, "3 50"},
		{[]metric.Reading{row("a", 2)}, []metric.Answer{{Target: "a", ID: 0, Rows: 1}}, "5 50"},
		{[]metric.Reading{row("a", 2)}, []metric.Answer{{Target: "a", ID: 0, Rows: 1}}, "7 50"},
		{[]metric.Reading{row("a", 2)}, nil, "9 50"},
	} {
		r, err := l.Apply(epoch().Add(time.Duration(i)*time.Minute), metric.Readings{{Desc: d, Rows: c.rows, Answers: c.answers}})
		if err != nil {
			t.Fatal(err)
		}
		if (c.want == "") != (len(r.Problems) > 0) {
			t.Errorf("tick %d: problems %v", i, r.Problems)
		}
		if got := fmt.Sprint(r.Families[0].Series[0].Value, r.Families[0].Series[1].Value); c.want != "" && got != c.want {
			t.Errorf("tick %d: totals %s, want %s", i, got, c.want)
		}
	}
	at := epoch().Add(48 * time.Hour)
	if _, err := l.Apply(at, metric.Readings{{Desc: d, Answers: []metric.Answer{{Target: "z", ID: 1, Rows: 0}}}}); err != nil {
		t.Fatal(err)
	}
	if n := len(l.order[0].answers.known); n != 1 {
		t.Errorf("the answers of %d targets are remembered, want 1", n)
	}
}
