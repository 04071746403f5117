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
	width = 250             // series of the page; these series take several requests, so that a kill can divide a scrape
)

// exporter is an exporter. All its samples have the number of the scrape as their value.
type exporter struct {
	mu       sync.Mutex
	answered []time.Time   // times of the scrapes
	next     chan struct{} // closed at the next scrape
}

// export starts an exporter that is served until the test ends.
func export(t *testing.T, l net.Listener) *exporter {
	t.Helper()
	e := &exporter{next: make(chan struct{})}
	server := &http.Server{Handler: e, ReadHeaderTimeout: every}
	go func() { _ = server.Serve(l) }() // returns when the server is closed
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

// scraped returns the number of scrapes, and a channel that is closed at the next scrape.
func (e *exporter) scraped() (int, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.answered), e.next
}

// wait waits for n scrapes and returns the number of the newest scrape.
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

// compare checks that each scrape is stored once, complete, in order and at its time, unless the function "mayMiss" allows the scrape to be
// missing.
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
				note("%s is %v, which is not the number of a scrape", s.Metric, sample.Value)
				continue
			}
			if sample.Value <= before.Value || sample.Timestamp <= before.Timestamp {
				note("%s is %v after %v: a duplicate, or out of order", s.Metric, sample, before)
			}
			if apart := sample.Timestamp.Time().Sub(e.answered[n-1]).Abs(); apart >= every {
				note("%s is %v, and its timestamp differs by %s from the scrape", s.Metric, sample, apart)
			}
			have[n-1]++
			before = sample
		}
	}
	for i, n := range have {
		if n == width {
			continue
		}
		t.Logf("scrape %d has %d samples of %d", i+1, n, width)
		if !mayMiss(i+1, e.answered[i]) {
			note("scrape %d has %d samples of %d", i+1, n, width)
		}
	}
	t.Logf("%d scrapes", len(have))
	if len(problems) > 0 {
		t.Errorf("%d problems, the first:\n%s", len(problems), strings.Join(problems[:min(10, len(problems))], "\n"))
	}
}

// newest returns the last scrape that all series have reached.
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
