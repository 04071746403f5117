package run

import (
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// TestNativeHistogramOfVersion1 restores the native buckets of a histogram from a state file of the first version, and goes
// on from them. The story state-version-1 holds the other kinds of state.
func TestNativeHistogramOfVersion1(t *testing.T) {
	sections, _, err := state.Read("../state/testdata/version-1/state")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := ReadSaved(sections["oncall"].Records)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(ledger.For(time.Hour), 100)
	if err := l.Restore(saved.records...); err != nil {
		t.Fatal(err)
	}
	desc := &metric.Desc{
		Name: "native_seconds", Unit: "seconds", Type: metric.Histogram, Native: true, Buckets: []float64{20},
		How:  ".incidents[] | select(.resolvedAt) (.resolvedAt | fromdate) - (.startedAt | fromdate) .incidentNumber",
		Once: true, Remember: 36500 * 24 * time.Hour, MaxEvents: 100_000, MaxAge: 10 * time.Minute,
	}
	result, err := l.Apply(saved.LastSuccess.Add(time.Minute), metric.Readings{{Desc: desc, Rows: []metric.Reading{{Value: 18, Event: "new"}}}})
	if err != nil || len(result.Families) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	h := result.Families[0].Series[0].More.Histogram
	if h.Count != 3 || h.Sum != 60 || h.Counts[0] != 2 || h.Counts[1] != 1 {
		t.Errorf("classic buckets: %+v", h)
	}
	n := h.Native
	if n == nil || n.Schema != 3 || n.ZeroCount != 0 || len(n.Positive) != 2 || n.Positive[0].Count+n.Positive[1].Count != 3 {
		t.Errorf("native buckets: %+v", n)
	}
}
