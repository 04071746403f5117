package scrape

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

func tickAt(at time.Time) sources.Tick {
	return sources.Tick{Time: at, Start: at.Add(-15 * time.Second), End: at, Interval: 15 * time.Second}
}

func addresses(t testing.TB, texts ...string) []Address {
	t.Helper()
	all := make([]Address, len(texts))
	for i, text := range texts {
		if err := all[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// sourceOf returns a source with the default settings, after the function "change" has changed them.
func sourceOf(t testing.TB, change func(*Config)) *source {
	t.Helper()
	c := Kind.Defaults().(*Config)
	c.NativeHistograms = true
	change(c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := c.New(sources.Env{
		Job: "node", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Web: &httpclient.Host{Secrets: &setting.SecretStore{}, UserAgent: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := s.(*source)
	t.Cleanup(made.client.CloseIdleConnections)
	return made
}

// exporter serves a page that a test can change.
type exporter struct {
	*httptest.Server
	mu   sync.Mutex
	kind string
	body string
	code int
	last http.Header // of the last request
}

func newExporter(t testing.TB, body string) *exporter {
	t.Helper()
	e := &exporter{kind: "text/plain; version=0.0.4", body: body, code: http.StatusOK}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = r.Header
	w.Header()["Content-Type"] = nil
	if e.kind != "" {
		w.Header().Set("Content-Type", e.kind)
	}
	w.WriteHeader(e.code)
	_, _ = io.WriteString(w, e.body)
}

func (e *exporter) show(kind, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kind, e.body, e.code = kind, body, http.StatusOK
}

func (e *exporter) instance() string { return strings.TrimPrefix(e.URL, "http://") }

// collected is the result of a tick.
type collected struct {
	Families []metric.Family
	Drops    []metric.Drop
	problems []error
	t        testing.TB
}

func collectedFrom(t testing.TB, readings metric.Readings) collected {
	c := collected{t: t}
	for _, m := range readings {
		c.Drops = append(c.Drops, m.Drops...)
		if m.Err != nil {
			c.problems = append(c.problems, m.Err)
		}
		if len(m.Series) > 0 {
			c.Families = append(c.Families, metric.Family{Desc: m.Desc, Series: m.Series})
		}
	}
	return c
}

func collect(t testing.TB, s *source) collected {
	t.Helper()
	now := time.Now()
	readings, err := s.Collect(t.Context(), tickAt(now))
	if err != nil {
		t.Fatal(err)
	}
	return collectedFrom(t, readings)
}

// values returns the scraped samples without the labels job and instance.
func (c collected) values() map[string]float64 { return c.scraped("job", "instance") }

// scraped returns the samples without those about the scrape, and without the labels whose names are in "drop".
func (c collected) scraped(drop ...string) map[string]float64 {
	all := c.everything(drop...)
	for name := range all {
		if name == "up" || strings.HasPrefix(name, "up{") || strings.HasPrefix(name, "scrape_") {
			delete(all, name)
		}
	}
	return all
}

// everything returns all samples, as the text format writes them.
func (c collected) everything(drop ...string) map[string]float64 {
	c.t.Helper()
	all := map[string]float64{}
	for i := range c.Families {
		var text strings.Builder
		if err := metric.WriteText(&text, c.Families[i:i+1]); err != nil {
			c.t.Fatal(err)
		}
		for name, value := range parsed(c.t, []byte(text.String()), textKind, func(b *labels.Builder) { b.Del(drop...) }) {
			if _, twice := all[name]; twice {
				c.t.Errorf("%s is there twice", name)
			}
			all[name] = value
		}
	}
	return all
}

// report returns a sample about the scrape of the only target.
func (c collected) report(name string) float64 {
	v, ok := c.everything("job", "instance")[name]
	if !ok {
		c.t.Errorf("there is no %s", name)
	}
	return v
}

func (c collected) family(name string) *metric.Family {
	c.t.Helper()
	for i := range c.Families {
		if c.Families[i].Desc.Name == name {
			return &c.Families[i]
		}
	}
	c.t.Fatalf("there is no family %s", name)
	return nil
}

func (c collected) dropped(reason metric.Reason) int {
	for _, d := range c.Drops {
		if d.Reason == reason {
			return d.Count
		}
	}
	return 0
}

func (c collected) problem() string {
	if len(c.problems) == 0 {
		return ""
	}
	return c.problems[0].Error()
}
