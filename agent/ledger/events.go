package ledger

import (
	"fmt"
	"slices"
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
	swept    int64 // when the old ones were last forgotten

	// Of the tick under way.
	fresh map[string]struct{} // keys are copies
	again []*sighting
}

// sighting says when an event was last seen, in Unix milliseconds. It is behind a pointer because assigning to an
// existing map entry would replace the map's own copy of the key by the caller's, which does not outlive the tick.
type sighting struct{ at int64 }

func newEvents(remember time.Duration, max int) *events {
	return &events{remember: remember.Milliseconds(), max: max, known: map[string]*sighting{}, fresh: map[string]struct{}{}}
}

// stage notes an event of the tick under way and tells whether it is to be counted.
func (e *events) stage(id string) bool {
	if s := e.known[id]; s != nil {
		e.again = append(e.again, s)
		return false
	}
	if _, staged := e.fresh[id]; staged {
		return false
	}
	e.fresh[strings.Clone(id)] = struct{}{}
	return true
}

// fit tells whether the new events find room. Those that the API shows in this very tick must all be remembered, or they
// would count again in the next.
func (e *events) fit(d *drops) error {
	shown := len(e.fresh) + len(e.again)
	if shown > e.max {
		return fmt.Errorf("one answer shows %d events, more than max_events (%d): they would be counted twice", shown, e.max)
	}
	if early := len(e.known) + len(e.fresh) - e.max; early > 0 {
		d.add(metric.TooMany, func() string { return fmt.Sprintf("%d event ids forgotten early", early) })
	}
	return nil
}

func (e *events) rollback() {
	clear(e.fresh)
	e.again = e.again[:0]
}

// commit remembers the tick's events and forgets old ones.
func (e *events) commit(at int64) {
	for _, s := range e.again {
		s.at = at
	}
	for id := range e.fresh {
		e.known[id] = &sighting{at}
	}
	e.rollback()
	if at-e.swept >= e.remember/8 {
		e.swept = at
		for id, s := range e.known {
			if at-s.at > e.remember {
				delete(e.known, id)
			}
		}
	}
	if len(e.known) > e.max {
		e.forgetOldest(len(e.known) - e.max)
	}
}

func (e *events) forgetOldest(n int) {
	type old struct {
		id string
		at int64
	}
	all := make([]old, 0, len(e.known))
	for id, s := range e.known {
		all = append(all, old{id, s.at})
	}
	slices.SortFunc(all, func(a, b old) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return strings.Compare(a.id, b.id)
	})
	for _, o := range all[:n] {
		delete(e.known, o.id)
	}
}
