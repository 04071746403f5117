package remotewrite

import (
	"sync"
	"time"
)

// maxRequest is how many bytes a request may have before compression, but for the unit that makes it full.
const maxRequest = 4 << 20

// minRequest is the least that is remembered as a limit: below it, something else is wrong.
const minRequest = 16 << 10

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
	if size /= 2; size >= minRequest && (size < l.bytes || !now.Before(l.until)) {
		l.bytes, l.until = size, now.Add(rememberLimit)
	}
}
