package backfill

import (
	"context"
	"fmt"
	"time"
)

// maxWaiting is how many samples may wait for a response when the next window is fetched. checkEvery is how often this is checked.
const (
	maxWaiting = 10_000
	checkEvery = 10 * time.Millisecond
)

// pace waits while too many samples wait for a response. It returns an error if a receiver has refused samples and has
// accepted none, since fetching more windows would be useless.
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
			return fmt.Errorf("%w: sinks.%s has accepted no sample: %s", ErrDelivery, s.Name, refused[0].Why)
		}
	}
	return nil
}

// waiting returns the number of samples that wait for a response.
func (w *Walk) waiting() (samples int64) {
	for _, s := range w.Sinks {
		samples += s.Stats.Pending().Samples
	}
	return samples
}

// settle waits until there is a response to every sample. It returns an error if that takes longer than the argument patience.
func (w *Walk) settle(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: the receiver has not answered every request within %s", ErrDelivery, patience))
	defer cancel()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for w.waiting() > 0 {
		select {
		case <-check.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stopPatience is the longest time to wait for responses after the walk was stopped.
const stopPatience = 10 * time.Second

func (w *Walk) patience(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return min(w.Patience, stopPatience)
	}
	return w.Patience
}
