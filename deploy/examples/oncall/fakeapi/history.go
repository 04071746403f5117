package fakeapi

import (
	"math/rand/v2"
	"slices"
	"time"
)

// History is the incidents that happened.
type History struct {
	Incidents []Incident  // in the order of their start
	Before    int         // number of incidents before the first one in Incidents
	Resets    []time.Time // when the API began to count its total from zero again
}

// Incident is one incident with all its transitions, past and future.
type Incident struct {
	Number      int
	Started     time.Time
	Transitions []Transition // in the order of their times
}

// Transition is a change of an incident's phase: triggered, acknowledged, reassigned or resolved.
type Transition struct {
	Name string
	At   time.Time
}

// When returns the time of the first transition with this name, or the zero time if there is no such transition until "now".
func (i *Incident) When(name string, now time.Time) time.Time {
	for _, t := range i.Transitions {
		if t.Name == name && !t.At.After(now) {
			return t.At
		}
	}
	return time.Time{}
}

// Invent makes the incidents of a number of days after the time "begin". On average there are "rate" incidents per day, at random
// intervals. Three of four are acknowledged within the hour, the others hours later or never. Some are acknowledged a second time. One in
// twenty is never resolved. The last transition is at most 14 hours after the start. Times are whole seconds.
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

// between returns the incidents that began later than the time "after" but not later than the time "now".
func (h *History) between(after, now time.Time) []Incident {
	from, _ := slices.BinarySearchFunc(h.Incidents, after, afterTime)
	to, _ := slices.BinarySearchFunc(h.Incidents, now, afterTime)
	return h.Incidents[min(from, to):to]
}

// afterTime compares the start of an incident with a time, for a binary search. An incident that started exactly at this time counts as an
// earlier one.
func afterTime(i Incident, at time.Time) int {
	if i.Started.After(at) {
		return 1
	}
	return -1
}

// Total returns the total number of incidents that the API reports at a time.
func (h *History) Total(now time.Time) int {
	for _, reset := range slices.Backward(h.Resets) {
		if !reset.After(now) {
			return len(h.between(reset, now))
		}
	}
	return h.Before + len(h.between(time.Time{}, now))
}
