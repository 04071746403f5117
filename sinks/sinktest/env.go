package sinktest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

// Env returns an environment for a sink, and a function that returns what the sink has logged.
func Env(t *testing.T) (env sinks.Env, logged func() string) {
	log := new(lockedBuffer)
	return sinks.Env{
		Name:     "under_test",
		Log:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Web:      &httpclient.Host{Secrets: &setting.SecretStore{Dir: t.TempDir()}, UserAgent: "sinktest"},
		Stats:    new(sinks.Stats),
		Instance: "host-1",
		Drain:    5 * time.Second,
		Dir:      t.TempDir(),
		Out:      new(lockedBuffer),
	}, log.String
}

// lockedBuffer is a text buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// everyType returns one family of each type. The result is the same at each call.
func everyType() []metric.Family {
	calls := &metric.Desc{Name: "st_calls_total", Help: "Calls\nby code.", Type: metric.Counter, LabelNames: []string{metric.MoreLabels}}
	took := &metric.Desc{Name: "st_took", Help: "Time.", Type: metric.Histogram, Buckets: []float64{0.1, 2.5}}
	size := &metric.Desc{Name: "st_size", Type: metric.Summary, LabelNames: []string{"room"}, Quantiles: []float64{0.5}}
	temp := gauge("st_temp", 21.5, "a", "b \"c\" \\ \n d", "")
	temp.Series[1].Value = -0.25
	temp.Series[2].Value = 1<<53 - 1
	return []metric.Family{
		temp,
		{Desc: calls, Series: []metric.Series{{Labels: calls.LabelSet([]string{metric.PackLabels([]metric.Label{{Name: "code", Value: "200"}})}), Value: 1, Start: 1772366400000}}},
		{Desc: took, Series: []metric.Series{{
			Labels: took.LabelSet(nil),
			More:   &metric.More{Histogram: &metric.HistogramValue{Count: 6, Sum: 12.5, Counts: []uint64{1, 2, 3}}},
		}}},
		{Desc: size, Series: []metric.Series{{
			Labels: size.LabelSet([]string{"a"}),
			More:   &metric.More{Summary: &metric.SummaryValue{Count: 10, Sum: 70, Quantiles: []float64{7}}},
		}}},
	}
}

// gauge returns a family with a series for each room, all with the same value.
func gauge(name string, value float64, rooms ...string) metric.Family {
	d := &metric.Desc{Name: name, Help: "A gauge.", Type: metric.Gauge, LabelNames: []string{"room"}}
	f := metric.Family{Desc: d}
	for _, room := range rooms {
		f.Series = append(f.Series, metric.Series{Labels: d.LabelSet([]string{room}), Value: value})
	}
	return f
}
