package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// events remembers which event IDs a metric has counted. An ID is forgotten when it has not been seen for the time in the field
// "remember". If there are more IDs than the field "max" allows, those that have not been seen for the longest time are forgotten even
// earlier.
type events struct {
	remember int64 // how long to remember an ID after it was last seen, milliseconds
	slack    int64 // maximum time by which the last sighting in the journal can be too old, milliseconds
	max      int
	known    map[string]*sighting
	ring     sighting // head of the ring of committed sightings; the oldest sighting comes first

	was   func(id string) string // see metric.Measured.EventWas; of the current tick
	shown []*sighting            // sightings in the current tick, in the order of the readings

	// plain is the number of known IDs of a metric of several targets that do not name their target. Earlier builds have saved such IDs.
	plain int
}

// sighting is an event ID and when it was last seen.
type sighting struct {
	id            string
	at            int64     // Unix milliseconds
	before, after *sighting // neighbors in the ring; nil until the sighting is committed

	shown  bool // the ID was seen in the current tick
	counts bool // the event is counted in the current tick: its ID is new, or was last seen longer ago than the time "remember"
}

func newEvents(remember time.Duration, max int) *events {
	e := &events{remember: remember.Milliseconds(), slack: 1, max: max, known: map[string]*sighting{}}
	e.ring.before, e.ring.after = &e.ring, &e.ring
	return e
}

// stage adds an event to the current tick. It returns false if the event must not be counted, because it was counted before.
func (e *events) stage(id string, at int64) bool {
	s := e.known[id]
	switch {
	case s == nil:
		// The ID is copied, since the caller's string is valid during the tick only. The copy is also the map's key.
		s = &sighting{id: strings.Clone(id), counts: !e.wasPlain(id, at) && !e.hadOther(id, at)}
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

// wasPlain reports whether an earlier build has counted an event with this ID, at this target or at another one. Earlier builds did not say at
// which. Such an ID counts for no target until it is forgotten, since counting an event twice cannot be undone.
func (e *events) wasPlain(id string, at int64) bool {
	if e.plain == 0 {
		return false
	}
	_, own, _ := metric.CutTarget(id)
	return e.remembers(own, at)
}

// hadOther reports whether the event was counted with another ID, which its target had when the job had more or fewer targets.
func (e *events) hadOther(id string, at int64) bool {
	if e.was == nil {
		return false
	}
	other := e.was(id)
	return other != "" && e.remembers(other, at)
}

// remembers reports whether an earlier tick has seen the ID, and it is not to be forgotten yet.
func (e *events) remembers(id string, at int64) bool {
	s := e.known[id]
	return s != nil && s.after != nil && at-s.at <= e.remember
}

// isPlain reports whether the ID of a metric of several targets does not name its target.
func isPlain(id string) bool { _, _, ok := metric.CutTarget(id); return !ok }

// countPlain sets the field plain after IDs of a metric of several targets were restored.
func (e *events) countPlain() {
	e.plain = 0
	for id := range e.known {
		if isPlain(id) {
			e.plain++
		}
	}
}

// fit returns an error if the tick has more than max events. Some of them would have to be forgotten, and would be counted again
// in the next tick.
func (e *events) fit() error {
	if len(e.shown) > e.max {
		return fmt.Errorf("a response has %d events, more than max_events (%d), and some would be counted twice; raise max_events or fetch fewer", len(e.shown), e.max)
	}
	return nil
}

// rollback removes the events of the current tick.
func (e *events) rollback() {
	for _, s := range e.shown {
		s.shown, s.counts = false, false
		if s.after == nil {
			delete(e.known, s.id)
		}
	}
	e.endTick()
}

// commit remembers that the events of the current tick were seen at the time "at", and forgets old events. Plain IDs do not count towards
// max, since each of their events can have another ID too.
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
			if len(e.known)-e.plain <= e.max {
				break
			}
			early++
			saved.forget(s.id)
		}
		s.unlink()
		delete(e.known, s.id)
		if e.plain > 0 && isPlain(s.id) {
			e.plain--
		}
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
