package remotewrite

import (
	"context"
	"math/rand/v2"
	"time"
)

// Between two tries lies a random pause of up to 100 ms, which doubles with each try up to 30 s: full jitter, so that many
// senders do not come back at once. A pause that the receiver asks for (Retry-After) comes on top, up to 5 minutes.
const (
	firstPause    = 100 * time.Millisecond
	maxPause      = 30 * time.Second
	maxRetryAfter = 5 * time.Minute
)

// backoff counts the tries of one chunk.
type backoff struct{ tries int }

// next is the pause before the next try.
func (b *backoff) next(asked time.Duration) time.Duration {
	ceiling := min(maxPause, firstPause<<min(b.tries, 10))
	b.tries++
	return min(asked, maxRetryAfter) + rand.N(ceiling)
}

// wait pauses and tells whether to go on: not when life has ended. When stopping comes, what is left of the pause is
// given up unless the receiver has asked for it, and the pauses begin small again.
func (b *backoff) wait(life, stopping context.Context, asked time.Duration) bool {
	hurry := stopping.Done()
	if asked > 0 || stopping.Err() != nil {
		hurry = nil
	}
	timer := time.NewTimer(b.next(asked))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
		b.tries = 0
	case <-life.Done():
	}
	return life.Err() == nil
}
