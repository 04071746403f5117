package scrape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape/scrapetest"
	"github.com/collectington/collectington/sources/targets"
)

// TestHostilePages checks that an invalid page makes only its own target fail, with an error of one short line.
func TestHostilePages(t *testing.T) {
	for name, c := range map[string]struct {
		kind, body, want string
		change           func(*Config)
	}{
		"garbage":        {textKind, "\x00\x01\x02 what is this", "parse error after 0 samples: ", nil},
		"zero byte":      {textKind, "a 1\nb{x=\"\x00\"} 1\n\x00c 1\nd 1\n", "parse error after 2 samples: a zero byte outside of a label value", nil},
		"zero byte last": {textKind, "a 1\n\x00", "parse error after 1 samples: a zero byte outside of a label value", nil},
		"many families":  {textKind, familiesOf(100_001), "the page has more than 1000000 samples or 100000 families", nil},
		"cut short":      {textKind, "a 1\nb{x=\"", "parse error after 1 samples: ", nil},
		"no end":         {omKind, "a 1\n", "parse error after 1 samples: data does not end with # EOF", nil},
		"endless line":   {textKind, strings.Repeat("a", 1<<20), "parse error after 0 samples: ", nil},
		"broken message": {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "\xff\xff\xff\xff\x7fabc", "parse error after 0 samples: ", nil},
		"login page":     {"text/html", "<html>", `unsupported Content-Type "text/html": want text/plain, OpenMetrics or protobuf; is it a login or error page?`, nil},
		"JSON":           {"application/json", "{}", `unsupported Content-Type "application/json": want text/plain, OpenMetrics or protobuf; is it a login or error page?`, nil},
		"long type":      {strings.Repeat("x", 10_000), "{}", `unsupported Content-Type "xxxxx`, nil},
		"not a number":   {textKind, "a 1\nb x\n", "parse error after 1 samples: ", nil},
		"long quote":     {textKind, "a 1\nb{" + strings.Repeat("\x1b", 5000), "parse error after 1 samples: ", nil},
		"label twice":    {textKind, "a{x=\"1\",x=\"2\"} 1\n", "a series of a has the label x twice", nil},
		"too many":       {textKind, "a 1\nb 1\nc 1\n", "3 samples, more than sample_limit (2)", func(c *Config) { c.SampleLimit = 2 }},
		"labels":         {textKind, "a{x=\"1\"} 1\n", "a series of a has 4 labels, more than label_limit (3)", func(c *Config) { c.LabelLimit = 3 }},
		"label name":     {textKind, "a{extraordinary=\"1\"} 1\n", "a label name of a is longer than label_name_length_limit (10): extraordinary", func(c *Config) { c.LabelNameLengthLimit = 10 }},
		"label value":    {textKind, "a{x=\"12345678901234567890123456789012\"} 1\n", "the label x of a is longer than label_value_length_limit (30)", func(c *Config) { c.LabelValueLengthLimit = 30 }},
		"big":            {textKind, strings.Repeat("# a comment\n", 10_000), "the body exceeds body_size_limit (64KiB)", func(c *Config) { c.BodySizeLimit = 64 << 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newExporter(t, ""), newExporter(t, "fine 1\n")
			bad.show(c.kind, c.body)
			s := sourceOf(t, func(set *Config) {
				set.Targets = addresses(t, bad.URL, good.URL)
				if c.change != nil {
					c.change(set)
				}
			})
			if c.change != nil && name != "big" {
				good.show(textKind, "")
			}
			for range 2 {
				got := collect(t, s)
				text := got.problem()
				if want := "GET " + bad.URL + "/metrics: " + c.want; !strings.HasPrefix(text, want) {
					t.Errorf("the problem is %q, want %q", text, want)
				}
				if len(text) > 400 || strings.ContainsAny(text, "\n\x1b\x00") {
					t.Errorf("the problem is not one short line: %q", text)
				}
				all := got.everything()
				if up := all[fmt.Sprintf("up{instance=%q,job=%q}", bad.instance(), "node")]; up != 0 {
					t.Errorf("up is %v", up)
				}
				if v, ok := all[fmt.Sprintf("fine{instance=%q,job=%q}", good.instance(), "node")]; v != 1 && ok {
					t.Errorf("the other target has %v", v)
				}
			}
			bad.show("", "fine 2\n") // without a type it is text
			if got := collect(t, s); got.problem() != "" {
				t.Errorf("it does not recover: %s", got.problem())
			}
		})
	}
}

func familiesOf(n int) string {
	var page strings.Builder
	for i := range n {
		fmt.Fprintf(&page, "# TYPE f%d gauge\n", i)
	}
	return page.String()
}

// endless sends comments for as long as the client reads.
type endless struct{}

func (endless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", textKind)
	line := bytes.Repeat([]byte("# a comment\n"), 10_000)
	for sent := 0; r.Context().Err() == nil && sent < 200<<20; sent += len(line) {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

// silent never responds.
type silent struct{}

func (silent) ServeHTTP(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// TestSlowTargets checks that a target that times out neither makes other targets lose their values nor delays the next tick.
func TestSlowTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.NewNetwork()
		n.Serve(t, "slow.test:80", silent{})
		n.Serve(t, "much.test:80", endless{})
		n.Serve(t, "good.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "timeout "+r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds")+"\n")
		}))
		c := Kind.Defaults().(*Config)
		c.Targets = addresses(t, "http://slow.test", "http://much.test", "http://good.test")
		made, err := c.New(sources.Env{Job: "node", Log: slog.New(slog.DiscardHandler), Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Dial: n.Dial}})
		if err != nil {
			t.Fatal(err)
		}
		defer made.(*source).client.CloseIdleConnections()
		for _, timeout := range []time.Duration{5 * time.Second, 30 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			begin := time.Now()
			readings, err := made.Collect(ctx, tickAt(begin))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took >= min(timeout, 15*time.Second) {
				t.Errorf("with a timeout of %s and an interval of 15 s the tick takes %s", timeout, took)
			}
			got := collectedFrom(t, readings)
			if v := got.family("timeout").Series[0].Value; v != min(timeout, 15*time.Second).Seconds()-.5 {
				t.Errorf("the good target has a timeout of %v s", v)
			}
			want := "GET http://slow.test/metrics: " + targets.ErrTimeout.Error() + "; GET http://much.test/metrics: the body exceeds body_size_limit (64MiB)"
			if got.problem() != want {
				t.Errorf("the problem is %q, want %q", got.problem(), want)
			}
		}
		stopped, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("stopping")
		cancel(cause)
		if _, err := made.Collect(stopped, tickAt(time.Now())); !errors.Is(err, cause) {
			t.Errorf("a cancelled tick returns %v", err)
		}
	})
}

// protoPage returns families as protobuf.
func protoPage(t *testing.T, families ...*dto.MetricFamily) string {
	t.Helper()
	var body bytes.Buffer
	encoder := expfmt.NewEncoder(&body, expfmt.FmtProtoDelim)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	return body.String()
}

func nativeFamily(name string, typ dto.MetricType, h *dto.Histogram) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Type: &typ, Metric: []*dto.Metric{{Histogram: h}}}
}

func wholeHistogram() *dto.Histogram {
	return &dto.Histogram{
		SampleCount: proto.Uint64(9), SampleSum: proto.Float64(math.Inf(1)), Schema: proto.Int32(2),
		ZeroThreshold: proto.Float64(1e-3), ZeroCount: proto.Uint64(1),
		PositiveSpan: []*dto.BucketSpan{
			{Offset: proto.Int32(-2), Length: proto.Uint32(2)}, {Offset: proto.Int32(3), Length: proto.Uint32(1)},
		},
		PositiveDelta: []int64{2, 1, 0},
	}
}

// TestInvalidNativeHistograms checks that invalid native histograms are dropped and counted, and that other series stay.
func TestInvalidNativeHistograms(t *testing.T) {
	falling, odd, floats := wholeHistogram(), wholeHistogram(), wholeHistogram()
	falling.PositiveDelta = []int64{2, -3, 0}
	odd.Schema = proto.Int32(77)
	floats.SampleCountFloat, floats.PositiveDelta, floats.PositiveCount = proto.Float64(9), nil, []float64{2, -3, 3}
	s, e := onePage(t, "")
	e.show(string(expfmt.FmtProtoDelim), protoPage(t,
		nativeFamily("good", dto.MetricType_HISTOGRAM, wholeHistogram()),
		nativeFamily("falling", dto.MetricType_HISTOGRAM, falling),
		nativeFamily("odd", dto.MetricType_HISTOGRAM, odd),
		nativeFamily("floats", dto.MetricType_HISTOGRAM, floats),
	))
	got := collect(t, s)
	if got.problem() != "" {
		t.Fatal(got.problem())
	}
	h := got.family("good").Series[0].Histogram()
	if text := fmt.Sprint(h.Count, h.Sum, *h.Native); text != "9 +Inf {2 [] 0.001 1 [{-2 2} {-1 3} {3 3}] [] false false}" {
		t.Errorf("the good one is %s", text)
	}
	if n := got.dropped(metric.Invalid); n != 3 {
		t.Errorf("%d are dropped, want 3: %v", n, got.Drops)
	}
	for i := range got.Families {
		if d := got.Families[i].Desc; d.Type == metric.Histogram && d.Name != "good" {
			t.Errorf("%s is there", d.Name)
		}
	}
}

// FuzzPage checks that any page gives either families that can be written as text, or an error. The second scrape of the same page, when
// its lines are known, must give the same result.
func FuzzPage(f *testing.F) {
	families, err := scrapetest.Registry().Gather()
	if err != nil {
		f.Fatal(err)
	}
	for i, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim} {
		for _, family := range families {
			var body bytes.Buffer
			encoder := expfmt.NewEncoder(&body, format, expfmt.WithCreatedLines())
			_ = encoder.Encode(family)
			if c, ok := encoder.(expfmt.Closer); ok {
				_ = c.Close()
			}
			f.Add(uint8(i), body.Bytes())
		}
	}
	f.Add(uint8(0), []byte("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\nh_count{le=\"1\"} 3\nh_bucket 1\nh 3\n"))
	f.Fuzz(func(t *testing.T, format uint8, body []byte) {
		kind := []string{textKind, omKind, string(expfmt.FmtProtoDelim)}[format%3]
		s := sourceOf(t, func(c *Config) { c.Targets = addresses(t, "http://fuzz:1"); c.SampleLimit = 1000 })
		s.discover(t.Context(), tickAt(time.Now()))
		cache := s.caches[0]
		var before string
		for i := range 3 {
			s.pool.Begin(time.Now().UnixMilli())
			err := cache.Begin().Finish(body, kind)
			if err != nil && strings.Contains(err.Error(), "panic") {
				t.Log(err)
			}
			result := collectedFrom(t, s.pool.Readings(s.caches, err))
			var text strings.Builder
			for _, family := range result.Families {
				for _, x := range family.Series {
					if x.Histogram() == nil != (family.Desc.Type != metric.Histogram) || x.Summary() == nil != (family.Desc.Type != metric.Summary) {
						t.Fatalf("%s has no value of a %s", family.Desc.Name, family.Desc.Type)
					}
				}
				if family.Desc.Name != "scrape_series_added" {
					fmt.Fprintln(&text, family.Desc)
					if err := metric.WriteText(&text, []metric.Family{family}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if i == 2 && text.String() != before && err == nil {
				t.Errorf("the page that is known gives\n%s\nand gave\n%s", text.String(), before)
			}
			before = text.String()
		}
	})
}
