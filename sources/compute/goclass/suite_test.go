package goclass

import (
	"context"
	"testing"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

func TestSourceSuite(t *testing.T) {
	load := func(ctx context.Context, t *Tick) ([]Reading, error) {
		doc, err := t.Document(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := t.Secret("KEY"); err != nil {
			return nil, err
		}
		if _, err := t.Fetch(ctx, sources.Request{URL: "/hosts"}); err != nil {
			return nil, err
		}
		var all []Reading
		for host := range doc.Get("hosts").Items {
			name, _ := host.Get("name").Label()
			value, _ := host.Get("load").Number()
			all = append(all, Reading{Value: value, Labels: map[string]string{"host": name}, Event: name})
		}
		return all, nil
	}
	methods := Methods{"calls": {Measure: total("")}, "load": {Measure: load, Once: true}}
	sourcetest.Run(t, sourcetest.Subject{
		Config: func(t *testing.T) sources.Config[sources.Source] {
			return configOf(t, methods, `{secrets: {KEY: "env:KEY"}, metrics: {calls_total: {type: counter}, load: {type: summary, labels: [host]}}}`)
		},
		Documents: []string{
			`{"total": 7, "hosts": [{"name": "a", "load": 1}, {"name": "b", "load": 2.5}]}`,
			`{"total": 9, "hosts": [{"name": "é", "load": 3}]}`,
		},
		Partial: `{"total": {}, "hosts": [{"name": "a", "load": 1}]}`,
		Failing: "calls_total",
	})
}
