//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestOutage kills the receiver and the agent with SIGKILL, several times. It checks that, in the end, the receiver has every scrape that
// the agent had finished.
func TestOutage(t *testing.T) {
	t.Parallel()
	t.Run("Prometheus", func(t *testing.T) {
		t.Parallel()
		address := freeAddress(t)
		outage(t, newPrometheus(t, address, "http://"+address, nil))
	})
	t.Run("VictoriaMetrics", func(t *testing.T) {
		t.Parallel()
		outage(t, newVictoriaMetrics(t, freeAddress(t)))
	})
}

func outage(t *testing.T, r *receiver) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page, spool := export(t, l), filepath.Join(t.TempDir(), "spool")
	config := write(t, t.TempDir(), "cton.yaml", scraping(l.Addr(), r.root, spool))
	launch := func() *process { return start(t, env(t, "CTON"), "run", "-c", config) }
	var torn []int // the scrapes at which the agent was killed; only these may be lost
	restart := func(agent *process) *process {
		agent.kill()
		torn = append(torn, page.wait(ctx, t, 0))
		return launch()
	}

	peer := r.start(t)
	r.answers(ctx, t)
	agent := launch()
	had := page.wait(ctx, t, 15)
	r.reaches(ctx, t, had)
	peer.kill()
	down := time.Now()
	page.wait(ctx, t, 10)
	agent = restart(agent) // while it handles a scrape
	page.wait(ctx, t, 10)
	for have := files(spool); files(spool) <= have && ctx.Err() == nil; {
		runtime.Gosched()
	}
	agent = restart(agent) // while it writes to a spool with records of two earlier processes
	for time.Since(down) < time.Minute {
		page.wait(ctx, t, 1)
	}
	r.start(t)
	r.reaches(ctx, t, 1+torn[1])
	page.wait(ctx, t, 1)
	agent = restart(agent) // while the receiver works
	page.wait(ctx, t, 3)
	r.reaches(ctx, t, page.wait(ctx, t, 1))
	agent.stop(t, 15*time.Second)
	r.reaches(ctx, t, page.wait(ctx, t, 0))

	stored, err := r.stored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	page.compare(t, stored, func(scrape int, at time.Time) bool {
		return slices.Contains(torn, scrape) || scrape <= had && down.Sub(at) < r.forgets
	})
	t.Logf("receiver gone for over a minute, agent killed at scrapes %v", torn)
	r.droppedNothing(ctx, t)
}

// files returns the number of records in a spool.
func files(spool string) int {
	records, _ := filepath.Glob(filepath.Join(spool, "*.rec")) // the pattern is valid
	return len(records)
}

// scraping returns the configuration of an agent that scrapes the exporter and sends the samples to a receiver. A scrape
// takes several requests.
func scraping(page net.Addr, root, spool string) string {
	return fmt.Sprintf(`
external_labels: {instance: e2e}
sinks:
  receiver:
    remote_write:
      url: "%s/api/v1/write"
      request: {max_samples: %d}
      spool: {dir: %q}
jobs:
  page:
    schedule: "@every %s"
    scrape: {targets: [%q]}
`, root, width/2-1, spool, every, page)
}
