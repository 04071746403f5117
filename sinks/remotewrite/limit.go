package remotewrite

import (
	"sync"
	"time"
)

// maxRequest is how many bytes a request may have before compression, but for the unit that makes it full.
const maxRequest = 4 << 20

// rememberLimit is how long a receiver's word counts that a request is too large. Then it is asked again.
const rememberLimit = time.Hour

// limit is the size of the largest request that the receiver may take, in bytes before compression.
type limit struct {
	mu    sync.Mutex
	bytes int
	until time.Time
}

func (l *limit) size(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return l.bytes
	}
	return maxRequest
}

// exceeded notes that a request of this size was too large.
func (l *limit) exceeded(size int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.until) || size/2 < l.bytes {
		l.bytes = size / 2
	}
	l.until = now.Add(rememberLimit)
}
