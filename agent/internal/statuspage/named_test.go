package statuspage

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

func selectors(t *testing.T, texts ...string) []config.Selector {
	t.Helper()
	all := make([]config.Selector, len(texts))
	for i := range texts {
		if err := all[i].UnmarshalText([]byte(texts[i])); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// ran records a run of a job. Afterwards, the agent has the batch of this run.
func (s *stage) ran(p *Page, at time.Time, b metric.Batch) {
	s.latest[b.Job] = b
	p.History.Ran(run.Ended{Job: b.Job, Start: at, Result: run.Succeeded, Families: b.Families})
}

// TestWatched checks the series that web.watch selects. Their past values are kept although no client views the page, and they are shown
// as long as they exist.
func TestWatched(t *testing.T) {
	s := &stage{latest: map[string]metric.Batch{}}
	s.addJob("a")
	s.addJob("b")
	p, h := s.open(sinks.Machine)
	now := time.Now()
	p.History.now = func() time.Time { return now }
	p.History.Watch(selectors(t, `none`, `http_requests{host="host-00001.example.com", job="b"}`, `http_requests{host="host-00001.example.com"}`))
	batch := batchOf("b", 3)
	s.ran(p, now, batchOf("a", 3))
	s.ran(p, now, batch)
	for range 130 { // more than an hour, and more than a ring holds
		now = now.Add(30 * time.Second)
		f := batch.Families[0]
		f.Series = slices.Clone(f.Series)
		f.Series[1].Value += 2
		batch.Families = []metric.Family{f}
		s.ran(p, now, batch)
	}
	shown := func() []string {
		p.latest = nil
		var all []string
		for _, w := range decode[Status](t, ask(h, "GET", "/api/v1/status")).Watched {
			line := "missing " + w.Missing
			if w.Series != nil {
				line = fmt.Sprintf("%s %s %s %d", w.Job, w.Series.Labels["host"][:10], w.Series.Value, len(w.Series.Points))
			}
			all = append(all, line)
		}
		return all
	}
	if got, want := shown(), []string{"missing none", "b host-00001 261 120", "a host-00001 1 0"}; !slices.Equal(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}
	w := decode[Status](t, ask(h, "GET", "/api/v1/status")).Watched[1]
	if w.Series.Before == nil || *w.Series.Before != 259 || !w.At.Equal(now.Truncate(time.Millisecond)) || now.Sub(w.Series.Points[0].At) > time.Hour {
		t.Errorf("%+v, %+v", w, w.Series)
	}
	page := html.UnescapeString(ask(h, "GET", "/").Body.String())
	for _, want := range []string{"<b>261</b>", `<span class="change">+2</span>`, `<svg class="spark"`, "</svg><small>", " to 261 in ", "No job has this series now."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if page := html.UnescapeString(ask(h, "GET", "/jobs/b").Body.String()); strings.Count(page, `<svg class="spark"`) != 1 || !strings.Contains(page, `<td class="n">+2</td>`) {
		t.Errorf("the page of the job does not show the past and the change of the series:\n%s", page)
	}
	if p.History.jobs["b"].follow.last != nil || len(p.History.jobs["a"].named) != 1 {
		t.Errorf("more is kept than is named: %+v", p.History.jobs["b"])
	}
	s.latest["a"] = metric.Batch{Job: "a"} // expired
	s.state.Jobs[0].Up, s.state.Jobs[0].Error = false, "503"
	s.ran(p, now, batchOf("b", 1))
	if got, want := shown(), []string{"missing none", `missing http_requests{host="host-00001.example.com", job="b"}`, `missing http_requests{host="host-00001.example.com"}`}; !slices.Equal(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}
	if j := decode[Status](t, ask(h, "GET", "/api/v1/status")).Jobs[0]; j.Name != "a" || j.Series != 0 {
		t.Errorf("job %s, whose series have expired, has %d", j.Name, j.Series)
	}
	p.History.Watch(nil)
	if got := shown(); got != nil || len(p.History.jobs["a"].named) != 0 {
		t.Errorf("after a reload without web.watch: %q", got)
	}
}

// TestWatchedBound checks the maximum number of watched series of all jobs together, and that a listener open to the network shows no
// value.
func TestWatchedBound(t *testing.T) {
	s := &stage{latest: map[string]metric.Batch{}}
	p, h := s.open(sinks.Machine)
	p.History.Watch(selectors(t, "http_requests"))
	for _, job := range []string{"a", "b", "c"} {
		s.addJob(job)
		s.ran(p, time.Now(), batchOf(job, 15))
	}
	s.ran(p, time.Now(), batchOf("b", 15))
	watched := decode[Status](t, ask(h, "GET", "/api/v1/status")).Watched
	if n := len(watched); n != config.MaxWatched || watched[14].Job != "a" || watched[15].Job != "b" {
		t.Errorf("%d series are watched: %+v", n, watched)
	}
	open := p.Handler(func() sinks.Reach { return sinks.Anyone })
	if text := ask(open, "GET", "/api/v1/status").Body.String() + ask(open, "GET", "/").Body.String(); strings.Contains(text, "http_requests") {
		t.Error("an open page shows a watched series")
	}
}

// TestScale checks the text beside a curve, even where the values differ only in a late digit.
func TestScale(t *testing.T) {
	at := func(values ...float64) (points []Point) {
		for i, v := range values {
			points = append(points, Point{At: time.Unix(int64(30*i), 0), Value: Number(v)})
		}
		return points
	}
	for want, points := range map[string][]Point{
		"<small>−3 to 45 in 1 min</small>":                 at(0, -3, 45),
		"<small>45 in 1 min</small>":                       at(45, math.NaN(), 45),
		"<small>0.333333 to 0.5 in 30 s</small>":           at(1.0/3, 0.5),
		"<small>1795996562 to 1795996684 in 30 s</small>":  at(1795996562, 1795996684),
		"<small>1000000.125 to 1000000.25 in 30 s</small>": at(1000000.25, 1000000.125),
	} {
		if got := string(spark(points)); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	sent := func(first, second int64) []Sample {
		return []Sample{{At: time.Unix(0, 0)}, {At: time.Unix(30, 0), Sent: first}, {At: time.Unix(60, 0), Sent: first + second}}
	}
	for want, samples := range map[string][]Sample{
		"<small>0 to 1\u202f200 waiting in 1 min</small>":  {{At: time.Unix(0, 0)}, {At: time.Unix(30, 0), Pending: 1200}, {At: time.Unix(60, 0), Pending: 40}},
		"<small>0 to 12.8 a second in 30 s</small>":        sent(385, 100),
		"<small>0 to 41\u202f667 a second in 30 s</small>": sent(1250000, 300),
	} {
		if got := string(curve(samples)); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestLeftOut checks that the overview says how many readings of a job were left out.
func TestLeftOut(t *testing.T) {
	row := func(dropped map[string]int64) string {
		return string(render(parseViews(), "job-row", rowOf(&Job{Name: "a", Readings: 19, Dropped: dropped}, false)))
	}
	if got := row(map[string]int64{"missing": 1200, "not_a_number": 34}); !strings.Contains(got, "19<small>1\u202f234 left out so far</small>") {
		t.Error(got)
	}
	if got := row(nil); strings.Contains(got, "left out") {
		t.Error(got)
	}
}
