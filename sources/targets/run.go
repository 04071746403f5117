package targets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/sources"
)

// MaxWorkers is the maximum number of targets that a job fetches from at the same time.
const MaxWorkers = 32

// Each calls the function "work" for each index i below n, in several goroutines at the same time. The argument "worker" of that function
// is the number of the goroutine, from 0 to workers-1.
func Each(workers, n int, work func(worker, i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for worker := range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				work(worker, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

const (
	reserve     = 500 * time.Millisecond // part of a tick's time that is left for merging when the slowest target is done
	maxProblems = 3                      // number of problems that Summarize writes out
)

// ErrTimeout is the cause of a context that WithDeadline has ended.
var ErrTimeout = errors.New("no answer in time: a target has the job's timeout, and at most until the next run; raise timeout, or run the job less often")

// WithDeadline returns a context for the targets. The new context ends before ctx, so that a slow target fails alone and not the whole
// tick. It also ends before the interval is over, so that a slow target does not delay the next tick.
func WithDeadline(ctx context.Context, tick sources.Tick) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if next := time.Now().Add(tick.Interval); tick.Interval > 0 && (!ok || next.Before(deadline)) {
		deadline, ok = next, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, deadline.Add(-min(reserve, time.Until(deadline)/4)), ErrTimeout)
}

// Summarize joins problems into one error whose text is one line. It returns nil if there are none.
func Summarize(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	var texts []string
	for i, p := range problems {
		if i == maxProblems {
			texts = append(texts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		texts = append(texts, p.Error())
	}
	return errors.New(strings.Join(texts, "; "))
}

// Names and helps of the metrics about each target. Prometheus has metrics with the same names.
const (
	Up, UpHelp             = "up", "1 if the scrape succeeded, 0 if it failed."
	Duration, DurationHelp = "scrape_duration_seconds", "Duration of the scrape."
)
