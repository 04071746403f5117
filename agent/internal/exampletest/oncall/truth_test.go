package main

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/collectington/collectington/deploy/examples/oncall/fakeapi"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

const every = 20 * time.Minute // from one tick to the next

// month is a month of incidents, with an API that sometimes fails.
type month struct {
	fakeapi.API
	begin, end time.Time   // times of the first and the last tick
	ticks      []time.Time // the ticks in which the API answers
}

// newMonth returns a month of the given number of days. The first tick is at the time "begin". The API also has a total of earlier
// incidents, none of which is from the last day before begin.
func newMonth(begin time.Time, days int) *month {
	m := &month{begin: begin, end: begin.AddDate(0, 0, days)}
	at := func(day int, hour, minute float64) time.Time {
		return begin.AddDate(0, 0, day).Add(time.Duration((hour*60 + minute) * float64(time.Minute)))
	}
	unavailable := fakeapi.Refuse(http.StatusServiceUnavailable, "text/plain", "down for maintenance")
	m.API = fakeapi.API{
		Key: "the-api-key", ID: "the-api-id", Now: time.Now,
		History: fakeapi.History{
			Incidents: fakeapi.Invent(1, begin, days, 36), Before: 12_345,
			// One reset is right after a tick, the other is in the middle of an outage.
			Resets: []time.Time{at(12, 9, 0).Add(time.Millisecond), at(22, 15, 35)},
		},
		Faults: []fakeapi.Fault{
			{From: at(0, 6, 5), To: at(0, 11, 25), How: unavailable},
			{From: at(0, 14, 0), To: at(0, 14, 1), How: fakeapi.Refuse(http.StatusInternalServerError, "application/json", `{"total": 0, "incidents": []}`)},
			{From: at(0, 16, 15), To: at(0, 18, 15), How: fakeapi.Hang},
			{From: at(15, 8, 5), To: at(15, 9, 5), How: fakeapi.Refuse(http.StatusOK, "text/html", "<!DOCTYPE html><title>Log in</title>")},
			{From: at(18, 8, 5), To: at(18, 8, 25), How: fakeapi.Refuse(http.StatusOK, "application/json", `{"total": 5, "incid`)},
			{From: at(22, 14, 5), To: at(22, 17, 5), How: unavailable},
		},
	}
	for tick := begin; !tick.After(m.end); tick = tick.Add(every) {
		if !slices.ContainsFunc(m.Faults, func(f fakeapi.Fault) bool { return !tick.Before(f.From) && tick.Before(f.To) }) {
			m.ticks = append(m.ticks, tick)
		}
	}
	return m
}

// counted returns what can be learnt from the API's total. The result "grown" is the sum of its increases from one good tick to the next.
// If the total has fallen in between, the whole new total counts as the increase. The result "lost" is the number of incidents that no
// tick sees in the total: they are opened before a reset, but after the last good tick before this reset.
func (m *month) counted() (grown, lost int) {
	for i, tick := range m.ticks[1:] {
		before, now := m.Total(m.ticks[i]), m.Total(tick)
		if now < before {
			before = 0
		}
		grown += now - before
	}
	for _, incident := range m.Incidents {
		for _, reset := range m.Resets {
			last := m.begin
			for _, tick := range m.ticks {
				if tick.Before(reset) {
					last = tick
				}
			}
			if incident.Started.After(last) && !incident.Started.After(reset) {
				lost++
			}
		}
	}
	return grown, lost
}

// times returns one duration for each incident that reached a phase in this month: the time from the start of the incident until it
// reached the phase.
func (m *month) times(phase string) []time.Duration {
	var all []time.Duration
	for _, i := range m.Incidents {
		if at := i.When(phase, m.end); !at.IsZero() {
			all = append(all, at.Sub(i.Started))
		}
	}
	return all
}

func sum(all []time.Duration) (total time.Duration) {
	for _, d := range all {
		total += d
	}
	return total
}

// check compares what a storage returns at the end of the month with the truth.
func (m *month) check(t *testing.T, storage *peers.Prometheus) {
	t.Helper()
	// The range begins before the first sample, so that the whole increase since then counts.
	over := fmt.Sprintf("[%dd] anchored", int(m.end.Sub(m.begin).Hours()/24)+1)
	want := func(metric, labels string, truth float64) {
		t.Helper()
		query := "increase(" + metric + "{" + labels + "}" + over + ")"
		if got := storage.Value(t, m.end.Add(time.Second), query); !(math.Abs(got-truth) <= 1e-9*math.Abs(truth)) {
			t.Errorf("%s is %v, the truth is %v", query, got, truth)
		}
	}
	grown, lost := m.counted()
	if grown+lost != len(m.Incidents) || grown == 0 {
		t.Errorf("of %d incidents %d can be counted by the total and %d not: that does not add up", len(m.Incidents), grown, lost)
	}
	want("incidents_total", `job="events"`, float64(len(m.Incidents))) // events: nothing is lost
	for _, job := range []string{`job="class"`, `job="script"`} {
		want("number_of_incidents_total", job, float64(grown))
	}
	for phase, metrics := range map[string][2]string{
		"acknowledged": {"time_taken_to_acknowledge", "incident_acknowledgement_seconds"},
		"resolved":     {"time_taken_to_resolve", "incident_resolution_seconds"},
	} {
		times := m.times(phase)
		for _, job := range []string{`job="class"`, `job="script"`} {
			want(metrics[0]+"_count", job, float64(len(times)))
			want(metrics[0]+"_sum", job, sum(times).Minutes())
		}
		want(metrics[1]+"_count", `job="events"`, float64(len(times)))
		want(metrics[1]+"_sum", `job="events"`, sum(times).Seconds())
		for _, bound := range []float64{300, 900, 1800, 3600, 7200, 14400, 28800} {
			within := 0
			for _, d := range times {
				if d.Seconds() <= bound {
					within++
				}
			}
			want(metrics[1]+"_bucket", fmt.Sprintf(`job="events",le="%.1f"`, bound), float64(within))
		}
	}
}
