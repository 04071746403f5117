package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// events remembers which event ids a metric has counted. An id is forgotten once it has not been seen for a while, and
// the longest unseen ones early when there are too many.
type events struct {
	remember int64 // milliseconds
	max      int
	known    map[string]*sighting
	ring     sighting // closes the ring of committed sightings: after it the longest unseen, before it the last seen

	shown []*sighting // in the tick under way, in their order
}

// sighting says when an event was last seen.
type sighting struct {
	id            string
	at            int64     // Unix milliseconds
	before, after *sighting // nil until it is committed

	// In the tick under way it was shown, and is to be counted.
	shown, counts bool
}

func newEvents(remember time.Duration, max int) *events {
	e := &events{remember: remember.Milliseconds(), max: max, known: map[string]*sighting{}}
	e.ring.before, e.ring.after = &e.ring, &e.ring
	return e
}

// stage notes an event of the tick under way and tells whether it is to be counted.
func (e *events) stage(id string, at int64) bool {
	s := e.known[id]
	switch {
	case s == nil:
		// The copy is the map's key too: the caller's string does not outlive the tick.
		s = &sighting{id: strings.Clone(id), counts: true}
		e.known[s.id] = s
	case s.shown:
		return false
	default:
		s.counts = at-s.at > e.remember
	}
	s.shown = true
	e.shown = append(e.shown, s)
	return s.counts
}

// fit tells whether the tick's events find room. All that the API shows in one tick must be remembered, or they would
// count again in the next.
func (e *events) fit() error {
	if len(e.shown) > e.max {
		return fmt.Errorf("one answer shows %d events, more than max_events (%d): they would be counted twice", len(e.shown), e.max)
	}
	return nil
}

func (e *events) rollback() {
	for _, s := range e.shown {
		s.shown, s.counts = false, false
		if s.after == nil {
			delete(e.known, s.id)
		}
	}
	e.settle()
}

// commit remembers the tick's events and forgets old ones.
func (e *events) commit(at int64, d *drops) {
	for _, s := range e.shown {
		s.at, s.shown, s.counts = at, false, false
		s.unlink()
		s.linkBefore(&e.ring)
	}
	e.settle()
	early := 0
	for s := e.ring.after; s != &e.ring; s = e.ring.after {
		if at-s.at <= e.remember {
			if len(e.known) <= e.max {
				break
			}
			early++
		}
		s.unlink()
		delete(e.known, s.id)
	}
	if early > 0 {
		d.add(metric.TooMany, early, func() string { return fmt.Sprintf("%d event ids forgotten early", early) })
	}
}

// settle ends the tick under way.
func (e *events) settle() {
	clear(e.shown)
	e.shown = e.shown[:0]
}

func (s *sighting) unlink() {
	if s.after != nil {
		s.before.after, s.after.before = s.after, s.before
		s.before, s.after = nil, nil
	}
}

func (s *sighting) linkBefore(next *sighting) {
	s.before, s.after = next.before, next
	s.before.after, next.before = s, s
}
