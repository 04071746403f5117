package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	api "github.com/prometheus/pushgateway/api/v1"
	pgw "github.com/prometheus/pushgateway/handler"
	"github.com/prometheus/pushgateway/storage"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/sources"
)

// pushgateway is the handler of a real Pushgateway, with its API.
type pushgateway struct{ http.Handler }

func newPushgateway(t *testing.T, utf8 bool) *pushgateway {
	quiet := slog.New(slog.DiscardHandler)
	pgw.EscapingScheme, pgw.ValidationScheme = model.NoEscaping, model.LegacyValidation
	if utf8 {
		pgw.EscapingScheme, pgw.ValidationScheme = model.ValueEncodingEscaping, model.UTF8Validation
	}
	store := storage.NewDiskMetricStore("", 0, nil, quiet)
	t.Cleanup(func() { _ = store.Shutdown() })
	r := route.New()
	for _, suffix := range []string{"", pgw.Base64Suffix} {
		encoded := suffix == pgw.Base64Suffix
		for _, path := range []string{"/metrics/job" + suffix + "/:job/*labels", "/metrics/job" + suffix + "/:job"} {
			r.Put(path, pgw.Push(store, true, true, encoded, quiet))
			r.Post(path, pgw.Push(store, false, true, encoded, quiet))
			r.Del(path, pgw.Delete(store, encoded, quiet))
		}
	}
	v1 := route.New()
	api.New(quiet, store, nil, nil).Register(v1)
	v1.Put("/admin/wipe", pgw.WipeMetricStore(store, quiet).ServeHTTP)
	mux := http.NewServeMux()
	mux.Handle("/", r)
	mux.Handle("/api/v1/", http.StripPrefix("/api/v1", v1))
	return &pushgateway{mux}
}

// running is a source whose Run runs until the test ends.
type running struct {
	*source
	url string
}

func start(t *testing.T, c *Config) *running {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	made, err := c.New(sources.Env{Job: "pushes", Log: slog.New(slog.DiscardHandler), Dir: t.TempDir(), MaxSeries: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, made.(*source))
}

func run(t *testing.T, s *source) *running {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for until := time.Now().Add(10 * time.Second); s.Addr() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no address is bound")
		}
	}
	return &running{s, "http://" + s.Addr()}
}

// ask sends a request and returns the status and the body.
func (r *running) ask(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// groupsOf returns what /api/v1/metrics shows, keyed by the labels of the groups. It replaces times by the word "time", except the value 0,
// which means that there was no such push.
func groupsOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var answer struct {
		Status string
		Data   []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%v in %s", err, text)
	}
	all := map[string]any{}
	for _, g := range answer.Data {
		for _, family := range g {
			f, ok := family.(map[string]any)
			if !ok || f["time_stamp"] == nil {
				continue
			}
			f["time_stamp"] = "time"
			if f["help"] != nil && strings.HasPrefix(f["help"].(string), "Last Unix time") {
				for _, m := range f["metrics"].([]any) {
					if m := m.(map[string]any); m["value"] != "0" {
						m["value"] = "time"
					}
				}
			}
		}
		all[fmt.Sprint(g["labels"])] = g
	}
	return all
}

// step is a request to a Pushgateway.
type step struct {
	method, path, body string
	header             []string
}

// TestAsPushgateway sends the same requests to a Pushgateway and to the source. Some of them are from the Pushgateway's own tests. After
// each request, it compares the answers and all groups.
func TestAsPushgateway(t *testing.T) {
	const text = "some_metric 3.14\nanother_metric{instance=\"testinstance\",job=\"testjob\"} 42\n"
	asProtobuf := []string{"Content-Type", "application/vnd.google.protobuf; encoding=delimited; proto=io.prometheus.client.MetricFamily"}
	for name, steps := range map[string][]step{
		"TestPush": {
			{"POST", "/metrics/job/testjob", "", nil},
			{"POST", "/metrics/job/testjob/instance/testinstance", "blablabla\n", nil},
			{"POST", "/metrics/job/testjob/instance/testinstance", text, nil},
			{"POST", "/metrics/job/testjob/instance/other", text, nil},
			{"POST", "/metrics/job@base64/dGVzdC9qb2I=/instance@base64/dGVzdGluc3RhbmNl", text, nil},
			{"POST", "/metrics/job/testjob", text, nil},
			{"POST", "/metrics/job/testjob/instance/testinstance", "a 1\nb 1 1000\n", nil},
			{"POST", "/metrics/job/pb/instance/testinstance", protobuf(t, histograms()), asProtobuf},
			{"PUT", "/metrics/job/testjob/instance/testinstance", "c 1\n", nil},
			{"PUT", "/metrics/job/testjob/instance/testinstance", "", nil},
		},
		"TestDelete": {
			{"POST", "/metrics/job/testjob/instance/testinstance", text, nil},
			{"DELETE", "/metrics/job/testjob", "", nil},
			{"DELETE", "/metrics/job/testjob/instance/testinstance", "", nil},
			{"DELETE", "/metrics/job@base64/dGVzdC9qb2I=/instance@base64/dGVzdGluc3RhbmNl", "", nil},
			{"DELETE", "/metrics/job/testjob/instance", "", nil},
		},
		"TestSplitLabels": {
			{"PUT", "/metrics/job/j/label_name1/label_value1/label_name2/label_value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/label_name1/label_value1/a=b/label_value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/label_name1/label_value1/__label_name2/label_value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/label_name1/label_value1/label_name2/label/value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/label_name1/label_value1/label_name2@base64/bGFiZWwvdmFsdWUy==", "a 1\n", nil},
			{"PUT", "/metrics/job/j/label_name1@base64/foo.bar/label_name2/label_value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/x/y/U__label_2e_name2/label_value2", "a 1\n", nil},
			{"PUT", "/metrics/job/j/x/a%2Fb", "a 1\n", nil},
			{"PUT", "/metrics/job/%C3%BCber%20all/x/%41", "a 1\n", nil},
			{"PUT", "/metrics/job/k/", "a 1\n", nil},
		},
		"TestRejectInconsistentPush": {
			{"POST", "/metrics/job/job1", "# TYPE mf1 counter\nmf1{instance=\"instance2\"} 1\n", nil},
			{"POST", "/metrics/job/job1/instance/instance2", "# TYPE mf1 counter\nmf1 2\n", nil},
			{"POST", "/metrics/job/job2", "# TYPE mf1 gauge\nmf1 2\n", nil},
			{"POST", "/metrics/job/job2", "x 1\nx 2\n", nil},
			{"POST", "/metrics/job/job2", "x{a=\"1\",a=\"2\"} 1\n", nil},
			{"POST", "/metrics/job/job2", "# TYPE s summary\ns_sum 1\ns_count 1\n", nil},
			{"POST", "/metrics/job/job3", "# TYPE s_count gauge\ns_count 1\n", nil},
		},
		"TestReplace": {
			{"POST", "/metrics/job/job1", "mf1 1 5\n", nil},
			{"PUT", "/metrics/job/job1", "mf1{instance=\"i\"} 1\n", nil},
			{"PUT", "/metrics/job/job1", "# HELP mf2 doc string 2\n# TYPE mf2 gauge\nmf2{labelname=\"val2\"} +Inf\nmf2{labelname=\"val1\"} -Inf\n", nil},
			{"PUT", "/metrics/job/job1", "mf1 1 5\n", nil},
			{"POST", "/metrics/job/job1", "# TYPE mf3 summary\nmf3{quantile=\"0.5\"} NaN\nmf3_sum 0\nmf3_count 0\n", nil},
			{"PUT", "/metrics/job/job1", "", nil},
		},
		"TestSanitizeLabels": {
			{"POST", "/metrics/job/job1/instance/instance2", "mf1{instance=\"instance1\",job=\"job2\"} 42\n", nil},
			{"POST", "/metrics/job/job1/instance/instance2", "mf1{job=\"job1\"} 42\n", nil},
			{"POST", "/metrics/job/job1", "mf1{job=\"job1\"} 42\n", nil},
		},
		"TestWipeMetricStore": {
			{"POST", "/metrics/job/job1/instance/a", "a 1\n", nil},
			{"POST", "/metrics/job/job1/instance/b", "a 1\n", nil},
			{"PUT", "/api/v1/admin/wipe", "", nil},
		},
		"TestMetricsAPI": {
			{"POST", "/metrics/job@base64/QmrDtnJu/instance@base64/aW5zdCdhIm5cY2Ux", protobuf(t, histograms()), asProtobuf},
		},
		"encodings": {
			{"PUT", "/metrics/job/a", zipped("a 1\n"), []string{"Content-Encoding", "gzip"}},
			{"PUT", "/metrics/job/b", snapped("a 1\n"), []string{"Content-Encoding", "snappy"}},
			{"PUT", "/metrics/job/c", "no gzip", []string{"Content-Encoding", "gzip"}},
			{"PUT", "/metrics/job/d", protobuf(t, histograms())[:50], asProtobuf},
			{"PUT", "/metrics/job/e", "# HELP e A metric.\n# TYPE e counter\ne 1\n# EOF\n", []string{"Content-Type", "application/openmetrics-text; version=1.0.0"}},
		},
	} {
		t.Run(name, func(t *testing.T) { compare(t, false, steps) })
	}
	t.Run("TestPushUTF8", func(t *testing.T) {
		compare(t, true, []step{
			{"POST", "/metrics/job/testjob/instance/testinstance/U__dotted_2e_label_2e_name/mylabelvalue", "some_metric 3.14\n{\"another.metric\",instance=\"testinstance\",job=\"testjob\",\"dotted.label.name\"=\"mylabelvalue\"} 42\n", nil},
			{"POST", "/metrics/job@base64/dGVzdC9qb2I=/instance@base64/dGVzdGluc3RhbmNl/U__dotted_2e_label_2e_name@base64/bXlsYWJlbHZhbHVl", "{\"another.metric\"} 42\n", nil},
			{"DELETE", "/metrics/job/testjob/instance/testinstance/U__dotted_2e_label_2e_name/mylabelvalue", "", nil},
			{"PUT", "/metrics/job/j/a=b/c", "a 1\n", nil},
		})
	})
}

// compare sends the same requests to a Pushgateway and to the source, and compares the answers and the groups.
func compare(t *testing.T, utf8 bool, steps []step) {
	real := httptest.NewServer(newDecoding(newPushgateway(t, utf8)))
	defer real.Close()
	c := defaults()
	c.UTF8Names, c.AdminAPI = utf8, true
	ours := start(t, c)
	theirs := &running{url: real.URL}
	for i, s := range steps {
		wantCode, wantText := theirs.ask(t, s.method, s.path, s.body, s.header...)
		code, text := ours.ask(t, s.method, s.path, s.body, s.header...)
		if code != wantCode {
			t.Errorf("step %d, %s %s: %d %s; a Pushgateway answers %d %s", i, s.method, s.path, code, text, wantCode, wantText)
		}
		const prefix = "pushed metrics are invalid or inconsistent with existing metrics: "
		if strings.HasPrefix(wantText, prefix) != strings.HasPrefix(text, prefix) {
			t.Errorf("step %d, %s %s: %s; a Pushgateway says %s", i, s.method, s.path, text, wantText)
		}
		if s.method != "POST" {
			theirs.ask(t, "POST", "/metrics/job/barrier", "") // so that the deletion is done: a Pushgateway responds before that
			ours.ask(t, "POST", "/metrics/job/barrier", "")
		}
		_, want := theirs.ask(t, "GET", "/api/v1/metrics", "")
		_, got := ours.ask(t, "GET", "/api/v1/metrics", "")
		if diff := cmp.Diff(groupsOf(t, want), groupsOf(t, got)); diff != "" {
			t.Errorf("step %d, %s %s: the groups of a Pushgateway (-) and ours (+):\n%s", i, s.method, s.path, diff)
		}
	}
}

// newDecoding decompresses bodies as the Pushgateway's main function does.
func newDecoding(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Content-Encoding") {
		case "gzip":
			unzip, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			r.Body = unzip
		case "snappy":
			r.Body = io.NopCloser(snappy.NewReader(r.Body))
		}
		h.ServeHTTP(w, r)
	})
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func snapped(text string) string {
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func protobuf(t *testing.T, families []*dto.MetricFamily) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// histograms returns the histograms of the Pushgateway's tests, with counts that fit their buckets. Other counts are refused here, since a
// receiver would refuse them later.
func histograms() []*dto.MetricFamily {
	spans := func() []*dto.BucketSpan {
		return []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(2)}, {Offset: proto.Int32(0), Length: proto.Uint32(2)}}
	}
	label := func(value string) []*dto.LabelPair {
		return []*dto.LabelPair{{Name: proto.String("testing"), Value: proto.String(value)}}
	}
	return []*dto.MetricFamily{
		{Name: proto.String("mf1"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{SampleCount: proto.Uint64(0), SampleSum: proto.Float64(0)}}}},
		{Name: proto.String("mfh"), Help: proto.String("Histograms."), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{
			{Label: label("int classic"), Histogram: &dto.Histogram{SampleCount: proto.Uint64(20), SampleSum: proto.Float64(99.23), Bucket: []*dto.Bucket{
				{UpperBound: proto.Float64(250000), CumulativeCount: proto.Uint64(3)}, {UpperBound: proto.Float64(500000), CumulativeCount: proto.Uint64(17)},
			}}},
			{Label: label("float classic"), Histogram: &dto.Histogram{SampleCountFloat: proto.Float64(20), SampleSum: proto.Float64(99.23), Bucket: []*dto.Bucket{
				{UpperBound: proto.Float64(250000), CumulativeCountFloat: proto.Float64(3)}, {UpperBound: proto.Float64(500000), CumulativeCountFloat: proto.Float64(17)},
			}}},
			{Label: label("int native"), Histogram: &dto.Histogram{
				SampleCount: proto.Uint64(4), SampleSum: proto.Float64(99.23), Schema: proto.Int32(1),
				NegativeDelta: []int64{0, 2, -2, 0}, PositiveDelta: []int64{0, 2, -2, 0}, PositiveSpan: spans(), NegativeSpan: spans(),
			}},
			{Label: label("float native"), Histogram: &dto.Histogram{
				SampleCountFloat: proto.Float64(14.5), SampleSum: proto.Float64(99.23), Schema: proto.Int32(1), ZeroThreshold: proto.Float64(0.25), ZeroCountFloat: proto.Float64(1.5),
				NegativeCount: []float64{2, 2, 2.5, 0}, PositiveCount: []float64{2, 2, 2.5, 0}, PositiveSpan: spans(), NegativeSpan: spans(),
			}},
		}},
		{Name: proto.String("untyped"), Type: dto.MetricType_UNTYPED.Enum(), Metric: []*dto.Metric{{Untyped: &dto.Untyped{Value: proto.Float64(1.234)}}}},
	}
}

// TestClientGolang pushes with the push package of client_golang, in the formats that it can send.
func TestClientGolang(t *testing.T) {
	for _, format := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeProtoDelim} {
		r := start(t, defaults())
		registry := prometheus.NewRegistry()
		done := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "done_total", Help: "Items done."}, []string{"kind"})
		took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 2}})
		registry.MustRegister(done, took)
		done.WithLabelValues("a").Add(3)
		took.Observe(1.5)
		pusher := push.New(r.url, "nightly/batch").Grouping("instance", "").Grouping("site", "a/b c").Gatherer(registry).Format(expfmt.NewFormat(format))
		if err := pusher.Push(); err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		done.WithLabelValues("b").Add(1)
		if err := pusher.Add(); err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		_, page := r.ask(t, "GET", "/metrics", "")
		for _, want := range []string{
			"# HELP done_total Items done.\n# TYPE done_total counter\n",
			`done_total{instance="",job="nightly/batch",kind="a",site="a/b c"} 3`,
			`done_total{instance="",job="nightly/batch",kind="b",site="a/b c"} 1`,
			`took_seconds_bucket{instance="",job="nightly/batch",site="a/b c",le="2"} 1`,
			`took_seconds_count{instance="",job="nightly/batch",site="a/b c"} 1`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%v: the page lacks %s:\n%s", format, want, page)
			}
		}
		if err := pusher.Delete(); err != nil {
			t.Errorf("%v: %v", format, err)
		}
		if _, page := r.ask(t, "GET", "/metrics", ""); page != "" {
			t.Errorf("%v: after the deletion the page is\n%s", format, page)
		}
	}
}
