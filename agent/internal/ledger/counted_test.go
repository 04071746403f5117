package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestCounted checks which metrics have totals that only the ledger knows: they start from zero without its state.
func TestCounted(t *testing.T) {
	l := New(For(time.Hour), 100)
	for _, d := range []*metric.Desc{
		{Name: "upstream_total", Type: metric.Counter},
		{Name: "added_total", Type: metric.Counter, From: metric.Increment},
		{Name: "goes_on_total", Type: metric.Counter, OnDecrease: metric.DecreaseAdd},
		{Name: "level", Type: metric.Gauge},
		{Name: "changed", Type: metric.Gauge, From: metric.Increment},
		{Name: "took", Type: metric.Summary},
	} {
		mustApply(t, l, epoch(), metric.Measured{Desc: d, Rows: []metric.Reading{{Value: 1}}})
	}
	if got := fmt.Sprint(l.Counted()); got != "[added_total changed goes_on_total took]" {
		t.Errorf("got %s", got)
	}
}
