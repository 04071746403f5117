package backfill

import (
	"context"
	"fmt"
	"time"
)

// Samples that may wait for an answer before the next window is asked for, and how often it is looked whether they do.
const (
	maxWaiting = 10_000
	lookEvery  = 10 * time.Millisecond
)

// pace waits while too much waits for an answer, and ends a walk of which receivers take nothing: all that follows would
// be asked for in vain.
func (w *Walk) pace(ctx context.Context, r *Report) error {
	if w.waiting() > maxWaiting {
		if err := w.settle(ctx, w.Patience); err != nil {
			return err
		}
	}
	if w.waiting() > 0 {
		return nil
	}
	r.Next = r.measured
	for _, s := range w.Sinks {
		if refused := s.Stats.Refusals(); s.Stats.Sent.Load() == 0 && len(refused) > 0 {
			return fmt.Errorf("%w: sinks.%s has taken nothing: %s", ErrDelivery, s.Name, refused[0].Why)
		}
	}
	return nil
}

func (w *Walk) waiting() (samples int64) {
	for _, s := range w.Sinks {
		samples += s.Stats.Pending().Samples
	}
	return samples
}

// settle waits until nothing waits for an answer.
func (w *Walk) settle(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: no answer for all of it within %s", ErrDelivery, patience))
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for w.waiting() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
