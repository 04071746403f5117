package fakeapi

import (
	"math/rand/v2"
	"slices"
	"time"
)

// History is what really happened.
type History struct {
	Incidents []Incident  // in the order of their start
	Before    int         // how many more there were before the first
	Resets    []time.Time // when the API began to count its total anew
}

// Incident is one incident with all that becomes of it.
type Incident struct {
	Number      int
	Started     time.Time
	Transitions []Transition // in their order
}

// Transition is a change of an incident's phase: triggered, acknowledged, reassigned or resolved.
type Transition struct {
	Name string
	At   time.Time
}

// When is the first transition of this name, zero where there is none by now.
func (i *Incident) When(name string, now time.Time) time.Time {
	for _, t := range i.Transitions {
		if t.Name == name && !t.At.After(now) {
			return t.At
		}
	}
	return time.Time{}
}

// Invent makes a history: rate incidents a day on average, at all distances from one another, begun after begin. Three in
// four are acknowledged within the hour, others hours later or never; some are acknowledged a second time; one in twenty
// is never resolved. Nothing happens to one more than 14 hours after its start. Times are whole seconds.
func Invent(seed uint64, begin time.Time, days int, rate float64) []Incident {
	random := rand.New(rand.NewPCG(seed, 0))
	within := func(d time.Duration) time.Duration {
		return time.Second + time.Duration(random.Int64N(int64(d/time.Second)))*time.Second
	}
	var all []Incident
	end := begin.AddDate(0, 0, days)
	for at := begin; ; {
		gap := time.Duration(random.ExpFloat64() / rate * float64(24*time.Hour)).Truncate(time.Second)
		if at = at.Add(max(gap, time.Second)); !at.Before(end) {
			return all
		}
		i := Incident{Number: 1000 + len(all), Started: at, Transitions: []Transition{{"triggered", at}}}
		step := func(name string, after time.Time, d time.Duration) time.Time {
			when := after.Add(within(d))
			i.Transitions = append(i.Transitions, Transition{name, when})
			return when
		}
		last := at
		switch n := random.IntN(20); {
		case n < 15:
			last = step("acknowledged", at, time.Hour)
		case n < 18:
			last = step("acknowledged", at, 8*time.Hour)
		}
		if random.IntN(10) == 0 {
			last = step("acknowledged", step("reassigned", last, 30*time.Minute), 30*time.Minute)
		}
		if random.IntN(20) > 0 {
			step("resolved", last, 5*time.Hour)
		}
		all = append(all, i)
	}
}

// between is the incidents begun in (after, now].
func (h *History) between(after, now time.Time) []Incident {
	from, _ := slices.BinarySearchFunc(h.Incidents, after, afterTime)
	to, _ := slices.BinarySearchFunc(h.Incidents, now, afterTime)
	return h.Incidents[min(from, to):to]
}

// afterTime orders an incident that began at a time before it.
func afterTime(i Incident, at time.Time) int {
	if i.Started.After(at) {
		return 1
	}
	return -1
}

// Total is how many incidents the API counts at a time.
func (h *History) Total(now time.Time) int {
	for _, reset := range slices.Backward(h.Resets) {
		if !reset.After(now) {
			return len(h.between(reset, now))
		}
	}
	return h.Before + len(h.between(time.Time{}, now))
}
