package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// slowToOpen is a sink that takes nothing for a while.
type slowToOpen struct {
	opens time.Time
	took  []metric.Batch
}

func (s *slowToOpen) Write(_ context.Context, b metric.Batch) error {
	if time.Now().Before(s.opens) {
		return errors.New("not open yet")
	}
	s.took = append(s.took, b)
	return nil
}

// TestPointsAreNotSuperseded checks that a batch with points waits for its sink. It is not dropped in favor of a newer batch, because the
// newer batch does not have these points. If there is no room for a batch, its points are counted as dropped.
func TestPointsAreNotSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowToOpen{opens: time.Now().Add(2 * time.Hour)}
		var log lockedBuffer
		d := newDelivery(Sink{Name: "rw", Sink: s, Stats: &sinks.Stats{}, Requests: &Requests{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		stop := make(chan struct{})
		go d.run(t.Context(), stop)
		desc := &metric.Desc{Name: "temp", Type: metric.Gauge}
		labels := desc.LabelSet(nil)
		for range 100 {
			d.add(metric.Batch{Job: "j", Time: time.Now(), Families: []metric.Family{{
				Desc: desc, Series: []metric.Series{{Labels: labels, Time: 9}},
				Earlier: map[*metric.LabelSet][]metric.Point{labels: {{Time: 7}, {Time: 8}}},
			}}})
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		close(stop)
		synctest.Wait()
		lost := d.Stats.Dropped()[sinks.QueueFull]
		if len(s.took) != maxWaiting || lost != 3*(100-maxWaiting) {
			t.Errorf("taken are %d batches, lost %d points", len(s.took), lost)
		}
		var logged []string
		for line := range strings.Lines(log.String()) {
			if _, after, ok := strings.Cut(line, "in the oldest are dropped\" "); ok {
				number, _, _ := strings.Cut(after, " ")
				logged = append(logged, number)
			}
		}
		if got := fmt.Sprint(logged); got != "[samples=3 samples=30 samples=75]" { // the first, after 10 minutes, and when the sink is open
			t.Errorf("logged as lost are %s", got)
		}
	})
}
