package expose

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest"
)

// bench is a sink whose page is requested without a network.
type bench struct {
	*sink
	env    sinks.Env
	logged func() string
	http   http.Handler
}

func open(t *testing.T, settings Config) *bench {
	t.Helper()
	c := defaults()
	c.Listen, c.JobLabel, c.WebConfigFile = "127.0.0.1:0", settings.JobLabel, settings.WebConfigFile
	c.CreatedSeries = settings.CreatedSeries
	if settings.Listen != "" {
		c.Listen = settings.Listen
	}
	if settings.Path != "" {
		c.Path = settings.Path
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	env, logged := sinktest.Env(t)
	made, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*sink)
	return &bench{sink: s, env: env, logged: logged, http: s.handler(func() sinks.Reach { return sinks.Machine })}
}

func (b *bench) write(t testing.TB, job string, families ...metric.Family) {
	t.Helper()
	if err := b.Write(context.Background(), metric.Batch{Job: job, Time: time.Unix(1772366400, 0), Families: families}); err != nil {
		t.Fatal(err)
	}
}

// ask returns the response to a request with these headers: name, value, name, value …
func (b *bench) ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.http.ServeHTTP(w, r)
	return w
}

// text returns the page in the text format.
func (b *bench) text() string { return b.ask("GET", "/metrics").Body.String() }

// scrape returns the page in a format, decompressed.
func (b *bench) scrape(t testing.TB, accept string, zipped bool) string {
	t.Helper()
	headers := []string{"Accept", accept}
	if zipped {
		headers = append(headers, "Accept-Encoding", "gzip")
	}
	w := b.ask("GET", "/metrics", headers...)
	if w.Code != http.StatusOK {
		t.Fatalf("answers %d: %s", w.Code, w.Body)
	}
	if got, want := w.Header().Get("Content-Length"), fmt.Sprint(w.Body.Len()); got != want {
		t.Errorf("Content-Length is %s, want %s", got, want)
	}
	if !zipped {
		return w.Body.String()
	}
	if got := w.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding is %q", got)
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // a browser reads one stream
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if w.Body.Len() > 0 {
		t.Errorf("%d bytes follow the stream", w.Body.Len())
	}
	return string(text)
}

// gauge returns a family with a series for each room, with the values 1, 2, …
func gauge(name string, rooms ...string) metric.Family {
	d := &metric.Desc{Name: name, Help: "A gauge.", Type: metric.Gauge, LabelNames: []string{"room"}}
	f := metric.Family{Desc: d}
	for i, room := range rooms {
		f.Series = append(f.Series, metric.Series{Labels: d.LabelSet([]string{room}), Value: float64(i + 1)})
	}
	return f
}

// run starts the server, and stops it when the test ends.
func (b *bench) run(t *testing.T) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + b.address(t) + b.config.Path
}

// address waits until the server listens, and returns its address.
func (b *bench) address(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); b.Addr() == ""; {
		if time.Now().After(end) {
			t.Fatalf("it does not serve:\n%s", b.logged())
		}
		time.Sleep(time.Millisecond)
	}
	return b.Addr()
}
