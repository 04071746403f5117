package remotewrite

import (
	"log/slog"
	"sync"
	"time"
)

// outage logs that the receiver cannot be reached, once, and again when it answers with another code.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time
	code  int
}

// failed notes a failure with this code, 0 where no answer came.
func (o *outage) failed(code int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.since.IsZero()
	if first {
		o.since = time.Now()
	}
	if first || o.code != code {
		o.code = code
		o.log.Warn("cannot deliver, trying again", "error", err, "since", o.since)
	}
}

// over notes that the receiver answers.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.log.Info("the receiver answers again", "after", time.Since(o.since).Round(time.Millisecond))
		o.since, o.code = time.Time{}, 0
	}
}
