// Package peers runs Prometheus and the Pushgateway inside a test, for the tests of this repository. It uses their real handlers and
// storage, and calls them without a network.
//
// Since package peers has many dependencies, it is separate from package sinktest: the author of a sink can use sinktest without them.
package peers

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Prometheus is a Prometheus server: the remote-write receiver, the storage and the query engine.
type Prometheus struct {
	http.Handler
	db     *tsdb.DB
	engine *promql.Engine
}

// NewPrometheus returns a Prometheus that accepts these protocols, or both protocols if none is given. It refuses samples that are
// out of order. It is closed when the test ends.
func NewPrometheus(t testing.TB, accepts ...remoteapi.WriteMessageType) *Prometheus {
	t.Helper()
	return newPrometheus(t, tsdb.DefaultOptions(), accepts)
}

// NewPrometheusFor returns a Prometheus that keeps this span of time in memory, so that it does not write blocks to disk. It
// accepts samples that are up to half of the span older than the newest sample.
func NewPrometheusFor(t testing.TB, span time.Duration) *Prometheus {
	t.Helper()
	options := tsdb.DefaultOptions()
	options.MinBlockDuration, options.MaxBlockDuration, options.RetentionDuration = span.Milliseconds(), span.Milliseconds(), span.Milliseconds()
	options.BlockReloadInterval, options.WALSegmentSize = span, -1
	return newPrometheus(t, options, nil)
}

// NewOutOfOrder returns a Prometheus that accepts samples in any order, if they are older than the newest sample of their series by at most
// the duration "window".
func NewOutOfOrder(t testing.TB, window time.Duration) *Prometheus {
	t.Helper()
	options := tsdb.DefaultOptions()
	options.OutOfOrderTimeWindow = window.Milliseconds()
	return newPrometheus(t, options, nil)
}

func newPrometheus(t testing.TB, options *tsdb.Options, accepts remoteapi.MessageTypes) *Prometheus {
	t.Helper()
	if len(accepts) == 0 {
		accepts = remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
	}
	options.EnableExemplarStorage, options.MaxExemplars = true, 1000
	db, err := tsdb.Open(t.TempDir(), nil, nil, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.DisableCompactions() // a block that is read in a synctest bubble cannot be closed outside of the bubble
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	quiet := slog.New(slog.DiscardHandler)
	return &Prometheus{
		Handler: remote.NewWriteHandler(quiet, prometheus.NewRegistry(), db, accepts, false, false, false),
		db:      db,
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: 1e7, Timeout: time.Minute, EnableAtModifier: true,
			Parser: parser.NewParser(parser.Options{EnableExtendedRangeSelectors: true}),
		}),
	}
}

// Vector returns the result of an instant query.
func (p *Prometheus) Vector(t testing.TB, at time.Time, text string) promql.Vector {
	t.Helper()
	q, err := p.engine.NewInstantQuery(context.Background(), p.db, nil, text, at)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer q.Close()
	vector, err := q.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return slices.Clone(vector)
}

// Query returns the values of an instant query by series. The value of a native histogram is its count.
func (p *Prometheus) Query(t testing.TB, at time.Time, text string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for _, sample := range p.Vector(t, at, text) {
		got[sample.Metric.String()] = sample.F
		if sample.H != nil {
			got[sample.Metric.String()] = sample.H.Count
		}
	}
	return got
}

// Stored returns a line for each stored sample of a metric, sorted by series and time. The labels job and instance are left out.
func (p *Prometheus) Stored(name string) ([]string, error) {
	q, err := p.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	var lines []string
	for set.Next() {
		series := labels.NewBuilder(set.At().Labels()).Del("__name__", "job", "instance").Labels()
		for it := set.At().Iterator(nil); it.Next() == chunkenc.ValFloat; {
			at, v := it.At()
			text := strconv.FormatFloat(v, 'g', -1, 64)
			if value.IsStaleNaN(v) {
				text = "stale"
			}
			lines = append(lines, fmt.Sprintf("%s%s %s at %s\n", name, series, text, time.UnixMilli(at).UTC().Format(time.RFC3339Nano)))
		}
	}
	return lines, set.Err()
}

// Point is a stored sample.
type Point struct {
	Time  int64 // Unix milliseconds
	Value float64
	Stale bool // it is a staleness marker
}

// Points returns the stored samples of the selected series. The keys of the result are the series. The samples of a series are in order of
// time. Native histograms are left out.
func (p *Prometheus) Points(t testing.TB, selector string) map[string][]Point {
	t.Helper()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	q, err := p.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	all := map[string][]Point{}
	set := q.Select(context.Background(), true, nil, matchers...)
	for set.Next() {
		var points []Point
		for it := set.At().Iterator(nil); it.Next() == chunkenc.ValFloat; {
			at, v := it.At()
			points = append(points, Point{at, v, value.IsStaleNaN(v)})
		}
		if len(points) > 0 {
			all[set.At().Labels().String()] = points
		}
	}
	if err := set.Err(); err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	return all
}

// Exemplars returns the exemplars of the selected series, sorted by time.
func (p *Prometheus) Exemplars(t testing.TB, selector string) []exemplar.Exemplar {
	t.Helper()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	q, err := p.db.ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	results, err := q.Select(math.MinInt64, math.MaxInt64, matchers)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	var all []exemplar.Exemplar
	for _, r := range results {
		all = append(all, r.Exemplars...)
	}
	return all
}

// Value returns the value of a query with one result, or NaN if there is no result.
func (p *Prometheus) Value(t testing.TB, at time.Time, text string) float64 {
	t.Helper()
	got := p.Query(t, at, text)
	if len(got) > 1 {
		t.Errorf("%s has %d results", text, len(got))
	}
	for _, v := range got {
		return v
	}
	return math.NaN()
}
