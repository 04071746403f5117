package remotewrite

import (
	"context"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// Prometheus looks back five minutes for a series' last sample. A job that takes longer than slowFrom from tick to tick
// would have gaps, so its last batch is sent again every repeatEvery, until the next one or the job's end.
const (
	slowFrom    = 4 * time.Minute
	repeatEvery = time.Minute
	repeatCheck = 5 * time.Second
)

// slow is the last batch of a job that is slow; zero of another.
type slow struct {
	batch metric.Batch
	due   time.Time
	told  time.Time // when it was sent last
}

// behind is a batch that comes behind the one that was sent again while its tick was under way.
func (w *slow) behind(b metric.Batch) metric.Batch {
	if told := w.told.UnixMilli(); b.Time.UnixMilli() <= told { // a sample's time has no more digits
		b.Time = time.UnixMilli(told + 1)
	}
	return b
}

// keep remembers a batch that has to be sent again.
func (w *slow) keep(b metric.Batch) {
	*w = slow{}
	if b.Every > slowFrom {
		*w = slow{batch: b, due: time.Now().Add(repeatEvery)}
	}
}

// repeat sends the last batches of slow jobs again, with the time at which it does, until ctx ends.
func (s *sink) repeat(ctx context.Context) {
	ticker := time.NewTicker(repeatCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if ctx.Err() == nil {
				s.repeatDue(now)
			}
		}
	}
}

func (s *sink) repeatDue(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.slow.due.IsZero() || now.Before(j.slow.due) {
			continue
		}
		j.slow.batch.Time, j.slow.told, j.slow.due = now, now, now.Add(repeatEvery)
		s.put(j, &j.slow.batch, true)
	}
}
