package starlark

import "time"

// maxKept bounds the answers that are kept from tick to tick.
const maxKept = 100

// kept are answers that later ticks can use. They are no state of the script's: without them it would ask again. What
// finds no room is not kept.
type kept struct {
	answers map[string]keptAnswer
	size    int
}

type keptAnswer struct {
	answer
	maxAge time.Duration // the longest that anybody has asked for
}

// find is an answer that came less than maxAge ago, by the ticks' time.
func (k *kept) find(key string, now time.Time, maxAge time.Duration) (answer, bool) {
	a, ok := k.answers[key]
	return a.answer, ok && !now.Before(a.since) && now.Sub(a.since) < maxAge
}

// keep keeps an answer in the place of an older one, within so many bytes in all.
func (k *kept) keep(key string, a answer, maxAge time.Duration, maxSize int64) {
	old, ok := k.answers[key]
	size := k.size - old.size + a.size
	if int64(size) > maxSize || !ok && len(k.answers) >= maxKept {
		return
	}
	if k.answers == nil {
		k.answers = map[string]keptAnswer{}
	}
	k.answers[key], k.size = keptAnswer{a, max(maxAge, old.maxAge)}, size
}

// forget lets go of what is too old. The clock may have been set back: what comes from the future is too old, too.
func (k *kept) forget(now time.Time) {
	for key, a := range k.answers {
		if now.Before(a.since) || now.Sub(a.since) >= a.maxAge {
			k.size -= a.size
			delete(k.answers, key)
		}
	}
}
