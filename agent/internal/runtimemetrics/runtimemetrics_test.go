package runtimemetrics

import (
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
)

// TestReadings checks the best-known metrics, their types, and that series keep their identity.
func TestReadings(t *testing.T) {
	m := New(nil)
	l := ledger.New(ledger.For(time.Minute), 1000)
	var page strings.Builder
	var before []metric.Family
	for i := range 2 {
		r, err := l.Apply(time.Unix(1e9+int64(i), 0), m.Readings())
		if err != nil || len(r.Problems)+len(r.Drops) > 0 {
			t.Fatalf("%v, %+v", err, r)
		}
		if i == 0 {
			before = r.Families
			continue
		}
		for k := range r.Families {
			if r.Families[k].Desc != before[k].Desc || r.Families[k].Series[0].Labels != before[k].Series[0].Labels {
				t.Errorf("%s is another series", r.Families[k].Desc.Name)
			}
		}
		if err := metric.WriteText(&page, r.Families); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"# TYPE go_goroutines gauge\n", "# TYPE process_cpu_seconds_total counter\n", "# TYPE go_gc_duration_seconds summary\n", "\ngo_gc_duration_seconds_count ",
		"\ngo_info{version=\"go", "\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &page)
		}
	}
}
