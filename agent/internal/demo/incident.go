package demo

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// pace is the average time between two incidents. The real time varies by less than pace.
const pace = 4 * time.Second

// The phases of an incident, with the names that Splunk On-Call uses.
const (
	unacknowledged = "UNACKED"
	acknowledged   = "ACKED"
	resolved       = "RESOLVED"
)

// incident is an incident as it is known at some time. Times of events that have not happened yet are nil.
type incident struct {
	Number         string       `json:"incidentNumber"`
	Phase          string       `json:"currentPhase"`
	StartedAt      time.Time    `json:"startedAt"`
	AcknowledgedAt *time.Time   `json:"acknowledgedAt"`
	ResolvedAt     *time.Time   `json:"resolvedAt"`
	Team           string       `json:"team"`
	Stack          string       `json:"stack"`
	Service        string       `json:"service"`
	Transitions    []transition `json:"transitions"`
}

type transition struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// history is the sequence of all incidents, numbered from 1. Everything about an incident depends only on its number.
type history struct{ start time.Time }

// fate is everything that will be known about an incident. Times are whole seconds, because jq's fromdate reads only whole seconds.
type fate struct {
	started, acknowledged, resolved time.Time
	team, stack, service            string
}

func (h *history) fate(n int) fate {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	seconds := func(from, to int) time.Duration { return time.Duration(from+random.IntN(to-from+1)) * time.Second }
	one := func(of ...string) string { return of[random.IntN(len(of))] }

	var f fate
	f.started = h.start.Add(time.Duration(n-1) * pace)
	if n > 1 {
		f.started = f.started.Add(seconds(0, int(pace/time.Second)-1))
	}
	f.acknowledged = f.started.Add(seconds(2, 12))
	f.resolved = f.acknowledged.Add(seconds(8, 50))
	f.team = one("network", "payments", "platform", "search")
	f.stack = one("prd", "prd", "prd", "sbx")
	f.service = f.team + "-" + one("api", "db", "web")
	return f
}

// opened returns how many incidents have been opened up to a time.
func (h *history) opened(at time.Time) int {
	if at.Before(h.start) {
		return 0
	}
	n := int(at.Sub(h.start)/pace) + 1 // number without the variation of the times; at most the newest of these incidents is not opened yet
	if h.fate(n).started.After(at) {
		n--
	}
	return n
}

// incident returns what is known about incident n at a time after it was opened.
func (h *history) incident(n int, at time.Time) incident {
	f := h.fate(n)
	i := incident{
		Number: strconv.Itoa(n), Phase: unacknowledged, StartedAt: f.started.UTC(),
		Team: f.team, Stack: f.stack, Service: f.service,
	}
	i.reach("triggered", f.started, at)
	if t := i.reach("acknowledged", f.acknowledged, at); t != nil {
		i.Phase, i.AcknowledgedAt = acknowledged, t
	}
	if t := i.reach("resolved", f.resolved, at); t != nil {
		i.Phase, i.ResolvedAt = resolved, t
	}
	return i
}

// reach adds a transition to the incident and returns the time of the transition. If that time is later than now, reach adds nothing and
// returns nil.
func (i *incident) reach(name string, at, now time.Time) *time.Time {
	if at.After(now) {
		return nil
	}
	at = at.UTC()
	i.Transitions = append(i.Transitions, transition{name, at})
	return &at
}
