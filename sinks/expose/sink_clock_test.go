package expose

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestClockJumps checks that the page shows the batch that was written last, whatever the times of the batches are. The page shows no
// timestamps.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{-30 * time.Second, -time.Hour, -24 * time.Hour, time.Hour, 24 * time.Hour} {
		b, at := open(t, Config{}), time.Unix(1772366400, 0)
		d := &metric.Desc{Name: "x", Type: metric.Gauge}
		for i := range 6 {
			if at = at.Add(10 * time.Second); i == 3 {
				at = at.Add(by)
			}
			batch := metric.Batch{Job: "j", Time: at, Families: []metric.Family{{Desc: d, Series: []metric.Series{{Labels: d.LabelSet(nil), Value: float64(i)}}}}}
			if err := b.Write(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
			if shown := fmt.Sprintf("\nx %d\n", i); !strings.Contains("\n"+b.text(), shown) {
				t.Errorf("%s: the page is\n%s, want %s", by, b.text(), shown)
			}
		}
	}
}
