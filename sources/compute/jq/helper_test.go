package jq

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// fixed is a fetcher that returns one document.
type fixed struct {
	text   string
	parser sources.Parser
	answer uint64
}

func (d *fixed) Fetch(context.Context, sources.Tick, sources.Request) (*sources.Document, error) {
	doc, err := d.parser.JSON("GET http://api.test", []byte(d.text))
	if err == nil {
		doc.Answer = d.answer
	}
	return doc, err
}

func configOf(t testing.TB, text string) *Config {
	t.Helper()
	c := &Config{}
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := c.Validate(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func sourceOf(t testing.TB, config, doc string) sources.Source {
	t.Helper()
	s, err := configOf(t, config).New(sources.Env{Fetch: &fixed{text: doc}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collect runs a tick and returns its readings as text: a line per reading, drop and failed metric.
func collect(t testing.TB, config, doc string) string {
	t.Helper()
	readings, err := sourceOf(t, config, doc).Collect(t.Context(), sources.Tick{Time: time.Unix(0, 0)})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return show(readings)
}

func show(readings metric.Readings) string {
	var b strings.Builder
	for _, m := range readings {
		if m.Err != nil {
			fmt.Fprintf(&b, "%s: %v\n", m.Desc.Name, m.Err)
			continue
		}
		for _, r := range m.Rows {
			fmt.Fprintf(&b, "%s%s %v", m.Desc.Name, m.Desc.LabelSet(r.Labels), r.Value)
			if r.Event != "" {
				fmt.Fprintf(&b, " event %s", r.Event)
			}
			b.WriteByte('\n')
		}
		for _, d := range m.Drops {
			fmt.Fprintf(&b, "%s drops %d %s: %s\n", m.Desc.Name, d.Count, d.Reason, d.First)
		}
		for _, text := range m.Warnings {
			fmt.Fprintf(&b, "%s warns: %s\n", m.Desc.Name, text)
		}
	}
	return b.String()
}

// evaluatorAt returns the evaluator of a tick at a time.
func evaluatorAt(at time.Time) *evaluator {
	m := &evaluator{}
	m.reset(sources.Tick{Time: at, Start: at.Add(-time.Minute), End: at})
	return m
}
