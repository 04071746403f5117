package goclass

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// api is a type of fetcher for tests. It has a document for each URL. The document for the URL "" is the job's own document.
type api struct {
	texts  map[string]string
	asked  []string
	parser sources.Parser

	skipped sources.Skipped // of each document
}

func (a *api) Fetch(_ context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
	a.asked = append(a.asked, r.URL)
	text, ok := a.texts[r.URL]
	if !ok {
		return nil, fmt.Errorf("GET %s: 404 Not Found", r.URL)
	}
	doc, err := a.parser.JSON("GET "+r.URL, []byte(text))
	if err == nil {
		doc.Skipped = a.skipped
	}
	return doc, err
}

func configOf(t testing.TB, methods Methods, text string) *Config {
	t.Helper()
	c := Kind("Shop", methods).Defaults().(*Config)
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// made returns the source of a class with these settings.
func made(t testing.TB, methods Methods, text string, a *api) sources.Source {
	t.Helper()
	c := configOf(t, methods, text)
	if err := c.Validate(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s, err := c.New(sources.Env{
		Job: "test", Fetch: a, Log: slog.New(slog.DiscardHandler),
		Web: &httpclient.Host{Secrets: &setting.SecretStore{LookupEnv: func(name string) (string, bool) { return "the " + name, true }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown returns the readings of a tick as text.
func shown(readings metric.Readings) string {
	var b strings.Builder
	for _, m := range readings {
		for _, row := range m.Rows {
			fmt.Fprintf(&b, "%s%v %v %s\n", m.Desc.Name, row.Labels, row.Value, row.Event)
		}
		for _, d := range m.Drops {
			fmt.Fprintf(&b, "%s drops %d: %s: %s\n", m.Desc.Name, d.Count, d.Reason, d.First)
		}
		if m.Err != nil {
			fmt.Fprintf(&b, "%s: %v\n", m.Desc.Name, m.Err)
		}
	}
	return b.String()
}

// constant returns a method that always returns the same readings.
func constant(readings ...Reading) Method {
	return Method{Measure: func(context.Context, *Tick) ([]Reading, error) { return readings, nil }}
}

// total returns a function for the field Measure of a method. That function reads the member "total" of the document at a URL.
func total(url string) func(context.Context, *Tick) ([]Reading, error) {
	return func(ctx context.Context, t *Tick) ([]Reading, error) {
		doc, err := t.Fetch(ctx, sources.Request{URL: url})
		if err != nil {
			return nil, err
		}
		return One(doc.Get("total"))
	}
}

func TestReadings(t *testing.T) {
	a := &api{texts: map[string]string{"": `{"total": 7, "teams": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]}`, "/other": `{"total": "8"}`}}
	s := made(t, Methods{
		"orders":  {Measure: total("")},
		"again":   {Measure: total("")},
		"another": {Measure: total("/other")},
		"teams": {Measure: func(ctx context.Context, t *Tick) ([]Reading, error) {
			doc, err := t.Document(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := t.Fetch(ctx, sources.Request{URL: "/other"}); err != nil { // the first document stays valid
				return nil, err
			}
			var all []Reading
			for team := range doc.Get("teams").Items {
				name, _ := team.Get("name").Label()
				n, _ := team.Get("n").Number()
				all = append(all, Reading{Value: n, Labels: map[string]string{"team": name, "stack": t.Settings["stack"].(string)}})
			}
			return all, nil
		}},
		"seen":    {Once: true, Measure: constant(Reading{Value: 1, Event: "17"}).Measure},
		"labels":  constant(Reading{Labels: map[string]string{"team": "\xff"}}, Reading{Labels: map[string]string{"team": strings.Repeat("x", 5000)}}),
		"nothing": constant(),
		"secret": {Measure: func(_ context.Context, t *Tick) ([]Reading, error) {
			key, err := t.Secret("KEY")
			return []Reading{{Labels: map[string]string{"key": key}}}, err
		}},
	}, `{settings: {stack: prd}, secrets: {KEY: "env:SHOP_KEY"}, metrics: {
		orders_total: {type: counter}, again: {type: gauge}, another: {type: gauge}, teams: {type: gauge, labels: [stack, team]},
		seen_total: {type: counter, from: increment}, labels: {type: gauge, labels: [team]}, nothing: {type: gauge}, secret: {type: gauge, labels: [key]}}}`, a)
	for range 2 {
		a.asked = nil
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		want := `again[] 7 
another[] 8 
labels drops 1: not_a_label: label team is not UTF-8
labels drops 1: label_too_long: label team has 5000 bytes, more than 4096
orders_total[] 7 
secret[the SHOP_KEY] 0 
seen_total[] 1 17
teams[prd a] 1 
teams[prd b] 2 
`
		if got := shown(readings); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if len(a.asked) != 2 {
			t.Errorf("asked for %q, want each once a tick", a.asked)
		}
	}
}

// TestOneFails checks that an error or panic in one method fails only its own metric.
func TestOneFails(t *testing.T) {
	broken := map[string]Method{
		"broke: no luck":           {Measure: func(context.Context, *Tick) ([]Reading, error) { return nil, errors.New("broke: no luck") }},
		"panicked: no luck":        {Measure: func(context.Context, *Tick) ([]Reading, error) { panic("no luck") }},
		"GET /gone: 404 Not Found": {Measure: total("/gone")},
		"want a number, got null":  {Measure: total("/empty")},
		`no secret KEY: add it to secrets, such as KEY: "env:KEY"; with a config.json, add it to the file that secret_file_path names`: {Measure: func(_ context.Context, t *Tick) ([]Reading, error) {
			_, err := t.Secret("KEY")
			return nil, err
		}},
		"a reading has no label team":                                                       constant(Reading{Value: 1}),
		"a reading has the labels stack, team; the metric declares team":                    constant(Reading{Labels: map[string]string{"team": "a", "stack": "b"}}),
		`a reading has the event id "17": set Once in the method, or once_by in the metric`: constant(Reading{Event: "17"}),
	}
	for want, method := range broken {
		s := made(t, Methods{"bad": method, "good": {Measure: total("")}},
			`metrics: {bad: {type: gauge, labels: [team]}, good: {type: gauge}}`, &api{texts: map[string]string{"": `{"total": 7}`, "/empty": `{}`}})
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := shown(readings); got != "bad: Shop.bad: "+want+"\ngood[] 7 \n" {
			t.Errorf("got\n%swant %s", got, want)
		}
	}
}

func TestTickFails(t *testing.T) {
	metrics := `metrics: {a: {type: gauge}, b: {type: gauge}}`
	for want, methods := range map[string]Methods{
		"GET : 404 Not Found":      {"a": {Measure: total("")}, "b": constant(Reading{Value: 1})}, // the job's own document
		"GET /gone: 404 Not Found": {"a": {Measure: total("/gone")}, "b": {Measure: total("/gone")}},
	} {
		if _, err := made(t, methods, metrics, &api{}).Collect(t.Context(), sources.Tick{}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time left"))
	waits := Method{Measure: func(ctx context.Context, _ *Tick) ([]Reading, error) {
		return nil, fmt.Errorf("POST /q: %w", context.Cause(ctx))
	}}
	if _, err := made(t, Methods{"a": waits}, `metrics: {a: {type: gauge}}`, &api{}).Collect(ctx, sources.Tick{}); err == nil || err.Error() != "Shop.a: POST /q: no time left" {
		t.Errorf("got %v", err)
	}
	_, err := made(t, Methods{"a": constant(), "b": constant()}, metrics, &api{}).Collect(ctx, sources.Tick{})
	if err == nil || err.Error() != "run Shop.a: no time left" {
		t.Errorf("got %v", err)
	}
}

func TestFetchesAreBounded(t *testing.T) {
	s := made(t, Methods{"a": {Measure: func(ctx context.Context, t *Tick) ([]Reading, error) {
		for i := range maxFetches + 1 {
			if _, err := t.Fetch(ctx, sources.Request{URL: fmt.Sprint("/", i)}); err != nil && !strings.Contains(err.Error(), "404") {
				return nil, err
			}
		}
		return nil, nil
	}}}, `metrics: {a: {type: gauge}}`, &api{})
	_, err := s.Collect(t.Context(), sources.Tick{})
	if err == nil || err.Error() != "GET /0: 404 Not Found" {
		t.Errorf("got %v", err)
	}
}

func TestMethodsSayWhatReadingsMean(t *testing.T) {
	c := configOf(t, Methods{"a": {Delta: true}, "b": {Delta: true}, "c": {Once: true}, "d": {Once: true}},
		`metrics: {a_total: {type: counter, from: increment}, b: {type: gauge}, c_total: {type: counter, from: increment}, d: {type: summary}}`)
	for name, m := range c.methods {
		m.Measure = constant().Measure
		c.methods[name] = m
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d := c.Declares()
	if d[0].From != metric.Total || !d[1].Delta || d[2].From != metric.Events || !d[2].Once || !d[3].Once {
		t.Errorf("got %+v, %+v, %+v, %+v", d[0], d[1], d[2], d[3])
	}
}

func TestValidate(t *testing.T) {
	nop := constant().Measure
	for _, c := range []struct {
		methods       Methods
		metrics, want string
	}{
		{Methods{"a": {Measure: nop}}, "metrics: {a: {type: gauge}, b: {type: gauge}}", "metrics.b: class Shop has no method for this metric; its methods: a"},
		{nil, "metrics: {b: {type: gauge}}", "metrics.b: class Shop has no method for this metric; its methods: none"},
		{Methods{"a": {}}, "metrics: {a: {type: gauge}}", "metrics.a: Shop.a: the method has no Measure"},
		{Methods{"a": {Measure: nop, Delta: true}}, "metrics: {a: {type: summary, once_by: id}}", "metrics.a: Shop.a: the setting Delta is only valid for a gauge or a counter of totals, or a histogram or summary without once_by"},
		{Methods{"a": {Measure: nop, Once: true}}, "metrics: {a: {type: gauge}}", "metrics.a: Shop.a: the setting Once is only valid for a counter, a histogram or a summary"},
		{Methods{"a": {Measure: nop, Once: true, Delta: true}}, "metrics: {a_total: {type: counter}}", "metrics.a_total: Shop.a: the setting Delta is only valid for a gauge or a counter of totals, or a histogram or summary without once_by"},
		{Methods{"a": {Measure: nop}}, "metrics: {a: }", "metrics.a: needs at least a type, such as {type: gauge}"},
		{Methods{"a": {Measure: nop}}, "{}", "metrics: is empty: declare at least one metric, by its name"},
		{Methods{"a": {Measure: nop, Increment: true}}, "metrics: {a: {type: summary}}", "metrics.a: Shop.a: the setting Increment is only valid for a gauge without delta, or a counter without events"},
	} {
		if err := configOf(t, c.methods, c.metrics).Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s: got  %v\nwant %s", c.metrics, err, c.want)
		}
	}
}

// TestNotes checks that a method without a metric is valid, since several services can share a class. The notes must name such methods.
func TestNotes(t *testing.T) {
	nop := constant().Measure
	kind := Kind("Shop", Methods{"a": {Measure: nop}, "a_total": {Measure: nop}, "b": {Measure: nop}})
	c := configOf(t, Methods{"a": {Measure: nop}, "a_total": {Measure: nop}, "b": {Measure: nop}}, "metrics: {a_total: {type: counter}}")
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	got, err := kind.Notes(c, sources.Env{})
	want := []string{"class Shop measures a, which metrics does not declare: it is not computed", "class Shop measures b, which metrics does not declare: it is not computed"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestDeclare checks how the settings of a method change the description of a metric.
func TestDeclare(t *testing.T) {
	nop := constant().Measure
	for _, c := range []struct {
		method    Method
		typ, want string
	}{
		{Method{Delta: true}, "counter, from: increment", "total false"},
		{Method{Delta: true}, "gauge", "total true"},
		{Method{Delta: true}, "histogram", "total true"},
		{Method{Delta: true}, "summary", "total true"},
		{Method{Increment: true}, "gauge", "increment false"},
		{Method{Increment: true}, "counter", "increment false"},
	} {
		c.method.Measure = nop
		d := configOf(t, Methods{"a_total": c.method}, "metrics: {a_total: {type: "+c.typ+"}}").Declares()[0]
		if got := fmt.Sprint(d.From, " ", d.Delta); got != c.want {
			t.Errorf("%+v of a %s: %s", c.method, c.typ, got)
		}
	}
}

// TestAnotherClassIsAnotherMetric checks that the totals of a job are not continued if a reload changes the job's class.
func TestAnotherClassIsAnotherMetric(t *testing.T) {
	how := func(class string) string {
		c := configOf(t, Methods{"orders": constant()}, "metrics: {orders_total: {type: counter, from: increment}}")
		c.class = class
		return c.Declares()[0].How
	}
	if shop, bank := how("Shop"), how("Bank"); shop == "" || shop == bank {
		t.Errorf("Shop measures by %q, Bank by %q", shop, bank)
	}
}

// TestTimes checks that a reading may have a timestamp if its metric allows it.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := made(t, Methods{
		"temp":   constant(Reading{Value: 1, Time: at}, Reading{Value: 2}),
		"change": constant(Reading{Value: 1, Time: at}),
	}, `metrics: {temp: {type: gauge}, change: {type: gauge, delta: true}}`, &api{texts: map[string]string{"": `{}`}})
	readings, err := s.Collect(t.Context(), sources.Tick{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range readings {
		switch m.Desc.Name {
		case "temp":
			if len(m.Rows) != 2 || m.Rows[0].Time != at.UnixMilli() || m.Rows[1].Time != 0 {
				t.Errorf("temp: %+v", m)
			}
		case "change":
			if m.Err == nil || !strings.Contains(m.Err.Error(), "has a timestamp") {
				t.Errorf("change: %+v", m)
			}
		}
	}
}

// TestSkippedItemsAreCounted checks that skipped items are counted once for each metric.
func TestSkippedItemsAreCounted(t *testing.T) {
	a := &api{texts: map[string]string{"": `{"total": 7}`}, skipped: sources.Skipped{Items: 2, First: errors.New("GET /3: 404")}}
	s := made(t, Methods{"a": {Measure: total("")}, "b": {Measure: total("")}}, "metrics: {a: {type: gauge}, b: {type: gauge}}", a)
	for range 2 {
		readings, err := s.Collect(t.Context(), sources.Tick{})
		const want = "a[] 7 \na drops 2: skipped: GET /3: 404\nb[] 7 \nb drops 2: skipped: GET /3: 404\n"
		if got := shown(readings); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
