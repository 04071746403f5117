package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	running "github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/statuspage"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/jq"
	fetch "github.com/collectington/collectington/sources/fetch/http"
)

// noted is a job. Its runs are noted in the field history, unless this field is nil.
type noted struct {
	name    string
	worker  *running.Worker
	history *statuspage.History
	inside  time.Duration // the time that the history has taken
}

// newNoted returns a job that fetches a document of 200 items by HTTP, and has one series for each item.
func newNoted(b *testing.B, i int, server string, h *statuspage.History) *noted {
	n := &noted{name: fmt.Sprintf("team-%02d-service-%03d", i%17, i), history: h}
	web := &httpclient.Host{Secrets: &setting.SecretStore{}, UserAgent: "bench", Observe: func(x httpclient.Exchange) {
		n.timed(func() { n.history.JobRequested(n.name, x) })
	}}
	fetcher := configured(b, fetch.Kind.Defaults(), "url: "+server+"/items?service="+n.name+"\n", func(c sources.Config[sources.Fetcher]) (sources.Fetcher, error) {
		return c.New(sources.Env{Web: web})
	})
	if h != nil {
		fetcher = h.Fetcher(n.name, fetcher)
	}
	source := configured(b, jq.Kind.Defaults(), `items_open: {type: gauge, items: ".items[]", value: .open, labels: {host: .host, zone: .zone}}`, func(c sources.Config[sources.Source]) (sources.Source, error) {
		return c.New(sources.Env{Fetch: fetcher})
	})
	settings := config.JobSettings{Timeout: setting.Duration(time.Minute), MaxSeries: 1000, ValidFor: setting.Duration(time.Hour)}
	n.worker = running.NewWorker(running.Job{Job: config.Job{Name: n.name, JobSettings: settings}, Source: source})
	return n
}

func (n *noted) timed(f func()) {
	if n.history != nil {
		began := time.Now()
		f()
		n.inside += time.Since(began)
	}
}

// tick runs the job once, from the request to the batch, and returns how long the run took.
func (n *noted) tick(b *testing.B, at time.Time) time.Duration {
	began := time.Now()
	result, err := n.worker.Tick(b.Context(), sources.Tick{Time: at, End: at}, running.Steps{})
	if err != nil {
		b.Fatal(err)
	}
	n.timed(func() {
		n.history.Ran(running.Ended{
			Job: n.name, Start: at, Took: time.Since(began), Result: running.Succeeded, Readings: result.Readings, Series: result.Series, Families: result.Families,
		})
	})
	return time.Since(began)
}

// BenchmarkHistory measures how much time the history of the status page adds to runs, from the request to the batch. It has 500 jobs with
// 200 series each, and no client has the page open. Each job runs in turn without the history, without it a second time, and with it.
// added-% is the difference between the medians of the first and the third, noise-% that between the first and the second, and inside-% is
// the share of the runs' time that is spent in the history's own functions.
func BenchmarkHistory(b *testing.B) {
	var items []string
	for i := range 200 {
		items = append(items, fmt.Sprintf(`{"host":"host-%05d.example.com","zone":"eu-%d","open":%d,"note":"Service check number %d"}`, i, i%3, i, i))
	}
	doc := []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc)
	}))
	b.Cleanup(server.Close)
	history := statuspage.NewHistory()
	var jobs [][3]*noted
	for i := range 500 {
		jobs = append(jobs, [3]*noted{newNoted(b, i, server.URL, nil), newNoted(b, i, server.URL, nil), newNoted(b, i, server.URL, history)})
	}
	var took [3][]time.Duration
	var inside, whole time.Duration
	at := time.Now()
	for n := 0; n == 0 || b.Loop(); n++ {
		for i, job := range jobs {
			at = at.Add(time.Millisecond)
			for k := range job {
				which := (k + i + n) % len(job)
				before := job[which].inside
				d := job[which].tick(b, at)
				if n == 0 {
					continue // series are new
				}
				took[which] = append(took[which], d)
				if which == 2 {
					inside, whole = inside+job[which].inside-before, whole+d
				}
			}
		}
	}
	middle := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Nanoseconds())
	}
	without, again, with := middle(took[0]), middle(took[1]), middle(took[2])
	b.ReportMetric(100*(with/without-1), "added-%")
	b.ReportMetric(100*(again/without-1), "noise-%")
	b.ReportMetric(100*inside.Seconds()/whole.Seconds(), "inside-%")
	b.ReportMetric(without/1000, "µs/run")
	b.ReportMetric(0, "ns/op")
}
