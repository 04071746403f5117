//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

const (
	every = 2 * time.Second // between scrapes
	width = 250             // series of the page: several requests' worth, so that a tick can be torn
)

// exporter is a page whose every sample is the number of the scrape, so that what is stored tells what was scraped.
type exporter struct {
	mu       sync.Mutex
	answered []time.Time   // the first scrape's time first
	next     chan struct{} // closed by the next answer
}

// export serves the page until the test ends.
func export(t *testing.T, l net.Listener) *exporter {
	t.Helper()
	e := &exporter{next: make(chan struct{})}
	server := &http.Server{Handler: e, ReadHeaderTimeout: every}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return e
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answered = append(e.answered, time.Now())
	page := []byte("# TYPE e2e_scrape gauge\n")
	for i := range width {
		page = fmt.Appendf(page, "e2e_scrape{series=\"%d\"} %d\n", i, len(e.answered))
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	w.Header().Set("Content-Length", fmt.Sprint(len(page)))
	_, _ = w.Write(page) // the agent may have been killed
	_ = http.NewResponseController(w).Flush()
	close(e.next)
	e.next = make(chan struct{})
}

// scraped is how often the page has been, and what the next scrape closes.
func (e *exporter) scraped() (int, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.answered), e.next
}

// wait returns at the n-th answer from now, with its number.
func (e *exporter) wait(ctx context.Context, t *testing.T, n int) int {
	t.Helper()
	for range n {
		_, next := e.scraped()
		select {
		case <-next:
		case <-ctx.Done():
			t.Fatalf("wait for a scrape: %v", ctx.Err())
		}
	}
	last, _ := e.scraped()
	return last
}

// compare wants each scrape stored once, whole, in order and at its time, but for those that may be missing.
func (e *exporter) compare(t *testing.T, stored model.Matrix, mayMiss func(scrape int, at time.Time) bool) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	var problems []string
	note := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if len(stored) != width {
		note("%d series are stored, want %d", len(stored), width)
	}
	have := make([]int, len(e.answered)) // samples of each scrape
	for _, s := range stored {
		var before model.SamplePair
		for _, sample := range s.Values {
			n := int(sample.Value)
			if n < 1 || n > len(have) || model.SampleValue(n) != sample.Value {
				note("%s is %v, which no scrape was", s.Metric, sample.Value)
				continue
			}
			if sample.Value <= before.Value || sample.Timestamp <= before.Timestamp {
				note("%s is %v after %v: twice, or out of order", s.Metric, sample, before)
			}
			if apart := sample.Timestamp.Time().Sub(e.answered[n-1]).Abs(); apart >= every {
				note("%s is %v, which was answered %s apart", s.Metric, sample, apart)
			}
			have[n-1]++
			before = sample
		}
	}
	for i, n := range have {
		if n == width {
			continue
		}
		t.Logf("of scrape %d there are %d samples of %d", i+1, n, width)
		if !mayMiss(i+1, e.answered[i]) {
			note("of scrape %d there are %d samples of %d", i+1, n, width)
		}
	}
	t.Logf("%d scrapes", len(have))
	if len(problems) > 0 {
		t.Errorf("%d problems, the first of them:\n%s", len(problems), strings.Join(problems[:min(10, len(problems))], "\n"))
	}
}

// newest is the last scrape that all series have got to.
func newest(stored model.Matrix) int {
	if len(stored) < width {
		return 0
	}
	least := math.MaxInt
	for _, s := range stored {
		least = min(least, int(s.Values[len(s.Values)-1].Value))
	}
	return least
}
