package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// events remembers which event IDs a metric has counted. An ID is forgotten when it has not been seen for some time. If there
// are too many, the ones not seen for longest are forgotten early.
type events struct {
	remember int64 // milliseconds
	slack    int64 // the journal's last sighting of an ID can be older than the true one by less, milliseconds
	max      int
	known    map[string]*sighting
	ring     sighting // head of the ring of committed sightings, the one not seen for longest first

	shown []*sighting // in the current tick, in their order
}

// sighting is when an event was last seen.
type sighting struct {
	id            string
	at            int64     // Unix milliseconds
	before, after *sighting // nil until it is committed

	shown  bool // in the current tick
	counts bool // in the current tick
}

func newEvents(remember time.Duration, max int) *events {
	e := &events{remember: remember.Milliseconds(), slack: 1, max: max, known: map[string]*sighting{}}
	e.ring.before, e.ring.after = &e.ring, &e.ring
	return e
}

// stage adds an event to the current tick and reports whether it counts.
func (e *events) stage(id string, at int64) bool {
	s := e.known[id]
	switch {
	case s == nil:
		// The copy is the map's key too: the caller's string is valid during the tick only.
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

// fit returns an error if the tick has more events than can be remembered: those forgotten would count again in the next
// tick.
func (e *events) fit() error {
	if len(e.shown) > e.max {
		return fmt.Errorf("a response has %d events, more than max_events (%d), and some would be counted twice; raise max_events or fetch fewer", len(e.shown), e.max)
	}
	return nil
}

// rollback removes the current tick's events.
func (e *events) rollback() {
	for _, s := range e.shown {
		s.shown, s.counts = false, false
		if s.after == nil {
			delete(e.known, s.id)
		}
	}
	e.endTick()
}

// commit remembers the current tick's events as seen at a time, and forgets old ones.
func (e *events) commit(at int64, saved *saved, d *drops) {
	for _, s := range e.shown {
		if s.after == nil || s.at/e.slack != at/e.slack {
			saved.see(s.id)
		}
		s.at, s.shown, s.counts = at, false, false
		s.unlink()
		s.linkBefore(&e.ring)
	}
	e.endTick()
	early := 0
	for s := e.ring.after; s != &e.ring; s = e.ring.after {
		if at-s.at <= e.remember {
			if len(e.known) <= e.max {
				break
			}
			early++
			saved.forget(s.id)
		}
		s.unlink()
		delete(e.known, s.id)
	}
	if early > 0 {
		d.add(metric.TooMany, early, func() string { return fmt.Sprintf("%d event ids forgotten early", early) })
	}
}

// endTick clears the list of the current tick's events.
func (e *events) endTick() {
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
