package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/goclass"
)

// lookBack is how long an incident is watched after its start. The resolution of an incident that takes longer is not measured.
const lookBack = 24 * time.Hour

// splunkAPI measures incidents and the minutes that people take to acknowledge and resolve them.
func splunkAPI() goclass.Methods {
	return goclass.Methods{
		"number_of_incidents":       {Measure: numberOfIncidents, Delta: true},
		"time_taken_to_acknowledge": {Measure: timeTakenTo("acknowledged"), Once: true},
		"time_taken_to_resolve":     {Measure: timeTakenTo("resolved"), Once: true},
	}
}

func numberOfIncidents(ctx context.Context, t *goclass.Tick) ([]goclass.Reading, error) {
	doc, err := ask(ctx, t, sources.Parameter{Name: "limit", Value: "1"}) // without startedAfter, the total is that of all time
	if err != nil {
		return nil, err
	}
	return goclass.One(doc.Get("total"))
}

// timeTakenTo returns a method that measures how long incidents take to reach a phase. The method gives an event for each incident that has
// reached the phase. The event's value is the number of minutes since the trigger of the incident.
func timeTakenTo(phase string) func(context.Context, *goclass.Tick) ([]goclass.Reading, error) {
	return func(ctx context.Context, t *goclass.Tick) ([]goclass.Reading, error) {
		var all []goclass.Reading
		for offset := 0; ; {
			doc, err := ask(ctx, t,
				sources.Parameter{Name: "startedAfter", Value: t.Time.Add(-lookBack).UTC().Format(time.RFC3339)},
				sources.Parameter{Name: "limit", Value: "100"},
				sources.Parameter{Name: "offset", Value: strconv.Itoa(offset)})
			if err != nil {
				return nil, err
			}
			seen := 0
			for incident := range doc.Get("incidents").Items {
				seen++
				number, _ := incident.Get("incidentNumber").Label()
				taken, ok, err := between(incident, "triggered", phase)
				if err != nil {
					return nil, fmt.Errorf("incident %s: %w", number, err)
				}
				if ok {
					all = append(all, goclass.Reading{Value: taken.Minutes(), Event: number})
				}
			}
			offset += seen
			if total, ok := doc.Get("total").Number(); !ok || seen == 0 || float64(offset) >= total {
				return all, nil
			}
		}
	}
}

// between returns the time from one phase of an incident to another. It returns false if one of these phases has not been reached.
func between(incident document.Value, from, to string) (time.Duration, bool, error) {
	first := map[string]time.Time{}
	for transition := range incident.Get("transitions").Items {
		name := transition.Get("name").Text()
		if _, again := first[name]; again {
			continue
		}
		at, err := time.Parse(time.RFC3339, transition.Get("at").Text())
		if err != nil {
			return 0, false, err
		}
		first[name] = at
	}
	return first[to].Sub(first[from]), !first[from].IsZero() && !first[to].IsZero(), nil
}

// ask requests incidents. If several methods send the same request in a tick, they share one answer.
func ask(ctx context.Context, t *goclass.Tick, query ...sources.Parameter) (document.Value, error) {
	key, err := t.Secret("API_KEY")
	if err != nil {
		return document.Value{}, err
	}
	id, err := t.Secret("API_ID")
	if err != nil {
		return document.Value{}, err
	}
	return t.Fetch(ctx, sources.Request{Query: query, Headers: []sources.Parameter{{Name: "X-VO-Api-Key", Value: key}, {Name: "X-VO-Api-Id", Value: id}}})
}
