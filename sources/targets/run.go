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

// MaxWorkers is how many targets of a job are worked on at the same time.
const MaxWorkers = 32

// Each calls work for each index below n, side by side. Worker is the number of the goroutine that calls, below workers.
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
	reserve     = 500 * time.Millisecond // of a tick's time, for what follows the slowest target
	maxProblems = 3                      // problems that are written out
)

// ErrTimeout is the cause when a target has no time left.
var ErrTimeout = errors.New("no answer in time: a target has the job's timeout, and at most until the next run; raise timeout, or run the job less often")

// WithDeadline gives the targets less time than the tick has, so that a slow one fails alone, and less than the interval, so
// that it does not delay the next tick.
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

// Summarize joins problems to one error of one line, or nil.
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

// Names and help of the metrics about each target, which are those of Prometheus.
const (
	Up, UpHelp             = "up", "1 if the scrape succeeded, 0 if it failed."
	Duration, DurationHelp = "scrape_duration_seconds", "Duration of the scrape."
)
