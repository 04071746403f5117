package scrape

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
)

const (
	textKind = "text/plain; version=0.0.4"
	omKind   = "application/openmetrics-text; version=1.0.0"
)

// onePage returns a source of one target, and its exporter.
func onePage(t *testing.T, body string, change ...func(*Config)) (*source, *exporter) {
	t.Helper()
	e := newExporter(t, body)
	return sourceOf(t, func(c *Config) {
		c.Targets = addresses(t, e.URL)
		for _, f := range change {
			f(c)
		}
	}), e
}

func (c collected) want(values map[string]float64) {
	c.t.Helper()
	if diff := cmp.Diff(values, c.values()); diff != "" {
		c.t.Errorf("wrong series (-want +got):\n%s\n%s", diff, c.problem())
	}
}

// TestReport checks the metrics about each scrape.
func TestReport(t *testing.T) {
	s, e := onePage(t, "a 1\nb 2\nc 3\n", func(c *Config) {
		c.MetricRelabel = relabel.Rules{{SourceLabels: []string{"__name__"}, Regex: new("b"), Action: "drop"}}
	})
	check := func(up, scraped, kept, added float64) {
		t.Helper()
		got := collect(t, s)
		for name, want := range map[string]float64{
			"up": up, "scrape_samples_scraped": scraped, "scrape_samples_post_metric_relabeling": kept, "scrape_series_added": added,
		} {
			if v := got.report(name); v != want {
				t.Errorf("%s is %v, want %v", name, v, want)
			}
		}
		if d := got.report("scrape_duration_seconds"); d <= 0 || d > 10 {
			t.Errorf("the scrape took %v s", d)
		}
		for name := range got.everything() {
			if !strings.Contains(name, `instance="`+e.instance()+`",job="node"`) {
				t.Errorf("%s does not name its target", name)
			}
		}
	}
	check(1, 3, 2, 2)
	check(1, 3, 2, 0)
	e.show(textKind, "a 1\nd 2\n")
	check(1, 2, 2, 1)
	e.code = http.StatusInternalServerError
	check(0, 0, 0, 0)
	e.code = http.StatusOK
	check(1, 2, 2, 0)
}

// TestLabels checks how labels of targets and series are joined, with honor_labels and with rules.
func TestLabels(t *testing.T) {
	const body = "a{job=\"own\",exported_job=\"other\"} 1\nb{instance=\"mine\"} 2\nc_total 3\n"
	s, e := onePage(t, body)
	want := map[string]float64{}
	for name, v := range map[string]float64{
		`a{exported_exported_job="own",exported_job="other",instance="I",job="node"}`: 1,
		`b{exported_instance="mine",instance="I",job="node"}`:                         2,
		`c_total{instance="I",job="node"}`:                                            3,
	} {
		want[strings.ReplaceAll(name, "I", e.instance())] = v
	}
	check := func(s *source, want map[string]float64) {
		t.Helper()
		got := collect(t, s).everything()
		for name := range got {
			if strings.HasPrefix(name, "up{") || strings.HasPrefix(name, "scrape_") {
				delete(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("wrong series (-want +got):\n%s", diff)
		}
	}
	check(s, want)
	s, e = onePage(t, body, func(c *Config) { c.HonorLabels = true })
	check(s, map[string]float64{
		`a{exported_job="other",instance="` + e.instance() + `",job="own"}`: 1,
		`b{instance="mine",job="node"}`:                                     2,
		`c_total{instance="` + e.instance() + `",job="node"}`:               3,
	})
	s, e = onePage(t, body, func(c *Config) {
		c.MetricRelabel = relabel.Rules{
			{SourceLabels: []string{"__name__"}, Regex: new("a"), Action: "drop"},
			{SourceLabels: []string{"__name__"}, Regex: new("c_(.*)"), TargetLabel: "__name__", Replacement: new("d_$1")},
			{Regex: new("exported_.*|job"), Action: "labeldrop"},
		}
	})
	check(s, map[string]float64{`b{instance="` + e.instance() + `"}`: 2, `d_total{instance="` + e.instance() + `"}`: 3})
}

// TestDuplicates checks two lines of the same series, on the page of one target and on those of two targets. The first line is taken. When
// that line is gone, the second one is taken.
func TestDuplicates(t *testing.T) {
	drop := func(c *Config) { c.MetricRelabel = relabel.Rules{{Regex: new("x|instance"), Action: "labeldrop"}} }
	s, e := onePage(t, "a{x=\"1\"} 1\na{x=\"2\"} 2\na{x=\"2\"} 3\nb 4\nb 5\n", drop)
	got := collect(t, s)
	got.want(map[string]float64{"a": 1, "b": 4})
	if n := got.dropped(metric.Duplicate); n != 3 {
		t.Errorf("%d are dropped as duplicates, want 3: %v", n, got.Drops)
	}
	e.show(textKind, "a{x=\"2\"} 2\n")
	collect(t, s)
	got = collect(t, s)
	got.want(map[string]float64{"a": 2})
	if len(got.Drops) > 0 {
		t.Errorf("dropped: %v", got.Drops)
	}
	s2, _ := onePage(t, "up 6\n")
	if got := collect(t, s2); got.report("up") != 1 || got.dropped(metric.Duplicate) != 1 {
		t.Errorf("a page with a series up gives %v", got.everything())
	}
	other := newExporter(t, "a 7\nc 8\n")
	e.show(textKind, "a 2\n")
	s = sourceOf(t, func(c *Config) { c.Targets = addresses(t, e.URL, other.URL); drop(c) })
	got = collect(t, s)
	if n, c := got.dropped(metric.Duplicate), got.everything()[`c{job="node"}`]; n != 1 || c != 8 {
		t.Errorf("%d dropped, c is %v", n, c)
	}
}

// TestTimestamps checks timestamps of samples, with honor_timestamps and without, and those in the future.
func TestTimestamps(t *testing.T) {
	now := time.Now().UnixMilli()
	body := fmt.Sprintf("a 1 %d\nb 2 %d\nc 3 5\nd 4 0\ne 5\nf 6 9223372036854775807\n", now-60_000, now+3_600_000)
	s, _ := onePage(t, body)
	got := collect(t, s)
	got.want(map[string]float64{"a": 1, "c": 3, "d": 4, "e": 5})
	for name, want := range map[string]int64{"a": now - 60_000, "c": 5, "d": 1, "e": 0} {
		if at := got.family(name).Series[0].Time; at != want {
			t.Errorf("%s has the time %d, want %d", name, at, want)
		}
	}
	if n := got.dropped(metric.Future); n != 2 {
		t.Errorf("%d samples are in the future, want 2", n)
	}
	s, _ = onePage(t, body, func(c *Config) { c.HonorTimestamps = false })
	got = collect(t, s)
	if at := got.family("b").Series[0].Time; at != 0 || len(got.Drops) > 0 {
		t.Errorf("an ignored timestamp is %d; dropped: %v", at, got.Drops)
	}
}

// TestInvalidHistograms checks that the lines of an invalid histogram are passed on as numbers.
func TestInvalidHistograms(t *testing.T) {
	valid := "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"
	for name, c := range map[string]struct {
		body string
		want map[string]float64
	}{
		"without +Inf":  {"h_bucket{le=\"1\"} 2\nh_sum 4\nh_count 2\n", nil},
		"without sum":   {"h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n", nil},
		"falling":       {"h_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n", nil},
		"count differs": {"h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 9\n", nil},
		"in parts":      {"h_bucket{le=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 1.5\nh_sum 4\nh_count 1.5\n", nil},
		"huge":          {"h_bucket{le=\"+Inf\"} 1e+300\nh_sum 4\nh_count 1e+300\n", nil},
		"odd bound":     {"h_bucket{le=\"x\"} 2\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n", nil},
		"le on the sum": {"h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum{le=\"7\"} 4\nh_count 3\n", nil},
		"times differ":  {"h_bucket{le=\"1\"} 2 1000\nh_bucket{le=\"+Inf\"} 3 1000\nh_sum 4 2000\nh_count 3 1000\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := onePage(t, "# TYPE h histogram\n"+c.body)
			for i, body := range []string{c.body, valid, c.body} {
				e.show(textKind, "# TYPE h histogram\n"+body)
				got := collect(t, s)
				if diff := cmp.Diff(parsed(t, []byte("# TYPE h histogram\n"+body), textKind, e.of), got.scraped()); diff != "" {
					t.Errorf("page %d (- Prometheus, + readings):\n%s", i, diff)
				}
				if d := got.Families[len(got.Families)-1].Desc; i == 1 && (d.Name != "h" || d.Type != metric.Histogram) {
					t.Errorf("the valid histogram is a %s %s", d.Type, d.Name)
				}
			}
			got := collect(t, s)
			flat := 0
			for i := range got.Families {
				if d := got.Families[i].Desc; strings.HasPrefix(d.Name, "h_") && d.Type == metric.Unknown {
					flat += len(got.Families[i].Series)
				}
			}
			if want := strings.Count(c.body, "\n"); flat != want && !(name == "odd bound" && flat == 1) {
				t.Errorf("%d lines are passed on as numbers, want %d: %v", flat, want, got.everything())
			}
		})
	}
}

// TestTypes checks the type, start timestamp, metadata and exemplars of each OpenMetrics type.
func TestTypes(t *testing.T) {
	s, e := onePage(t, "")
	e.show(omKind, `# TYPE jobs_seconds counter
# HELP jobs_seconds Jobs.
# UNIT jobs_seconds seconds
jobs_seconds_total{a="1"} 5 # {trace_id="x"} 1 1700000000
jobs_seconds_created{a="1"} 1700000000.5
jobs_seconds_total{a="2"} 6 # {trace_id="`+strings.Repeat("x", 200)+`"} 1
jobs_seconds_created{a="2"} NaN
# TYPE build info
# HELP build Version.
build_info{version="1"} 1
# TYPE state stateset
state{state="on"} 1
state{state="off"} 0
# TYPE queue gaugehistogram
queue_bucket{le="1.0"} 2
queue_bucket{le="+Inf"} 3
queue_gsum 2.5
queue_gcount 3
# TYPE took histogram
took_bucket{le="1.0"} 2 # {trace_id="y"} 0.5
took_bucket{le="+Inf"} 3
took_count 3
took_sum 5
took_created 1700000001
# TYPE size summary
size{quantile="0.5"} NaN
size_count 3
size_sum 5
size_created 1700000002
# EOF
`)
	got := collect(t, s)
	if got.problem() != "" {
		t.Fatal(got.problem())
	}
	for name, want := range map[string]metric.Type{
		"jobs_seconds_total": metric.Counter, "build_info": metric.Gauge, "state": metric.Gauge, "queue_bucket": metric.Gauge,
		"queue_gsum": metric.Gauge, "queue_gcount": metric.Gauge, "took": metric.Histogram, "size": metric.Summary,
	} {
		if d := got.family(name).Desc; d.Type != want {
			t.Errorf("%s is a %s, want %s", name, d.Type, want)
		}
	}
	for name, want := range map[string]metric.Type{
		"jobs_seconds_total": 0, "build_info": metric.Info, "state": metric.StateSet, "queue_bucket": metric.GaugeHistogram,
		"queue_gsum": metric.GaugeHistogram, "took": 0,
	} {
		if d := got.family(name).Desc; d.Scraped != want {
			t.Errorf("%s was scraped as %d, want %d", name, d.Scraped, want)
		}
	}
	for name, want := range map[string]int64{"jobs_seconds_total": 1700000000500, "took": 1700000001000, "size": 1700000002000} {
		if at := got.family(name).Series[0].Start; at != want {
			t.Errorf("%s has the start timestamp %d, want %d", name, at, want)
		}
	}
	jobs, took := got.family("jobs_seconds_total"), got.family("took")
	if jobs.Series[1].Start != 0 {
		t.Errorf("a counter without a start timestamp has %d", jobs.Series[1].Start)
	}
	if jobs.Desc.Unit != "seconds" || jobs.Desc.Help != "Jobs." {
		t.Errorf("jobs is %+v", jobs.Desc)
	}
	if n := got.dropped(metric.LabelTooBig); n != 1 {
		t.Errorf("%d exemplars are dropped for their length, want 1", n)
	}
	want := []metric.Exemplar{{Labels: []metric.Label{{Name: "trace_id", Value: "x"}}, Value: 1, Time: 1700000000000}}
	if diff := cmp.Diff(want, jobs.Series[0].Exemplars()); diff != "" {
		t.Errorf("the counter's exemplars (-want +got):\n%s", diff)
	}
	want[0] = metric.Exemplar{Labels: []metric.Label{{Name: "trace_id", Value: "y"}}, Value: .5, Sample: 1}
	if diff := cmp.Diff(want, took.Series[0].Exemplars()); diff != "" {
		t.Errorf("the histogram's exemplars (-want +got):\n%s", diff)
	}
	if _, leaked := got.values()["jobs_seconds_created"]; leaked {
		t.Error("a start timestamp is a series")
	}
}

// TestTypeAndHelpChange checks that a changed type or help replaces the previous one.
func TestTypeAndHelpChange(t *testing.T) {
	s, e := onePage(t, "a 1\n")
	for _, c := range []struct {
		head, help string
		typ        metric.Type
	}{
		{"", "", metric.Unknown},
		{"# TYPE a gauge\n", "", metric.Gauge},
		{"# HELP a Words.\n# TYPE a gauge\n", "Words.", metric.Gauge},
		{"# HELP a Others.\n# TYPE a counter\n", "Others.", metric.Counter},
		{"# TYPE other gauge\nother 1\n# HELP a Others.\n# TYPE a counter\n", "Others.", metric.Counter},
	} {
		e.show(textKind, c.head+"a 1\n")
		collect(t, s)
		got := collect(t, s)
		if d := got.family("a").Desc; d.Type != c.typ || d.Help != c.help || len(got.Drops) > 0 {
			t.Errorf("after %q it is a %s, %q; dropped: %v", c.head, d.Type, d.Help, got.Drops)
		}
	}
}

// TestFileSD checks that targets follow their files, and stay while a file is not valid.
func TestFileSD(t *testing.T) {
	a, b := newExporter(t, "x 1\n"), newExporter(t, "x 2\n")
	s := sourceOf(t, func(c *Config) { c.FileSD.Files = []string{"targets/*.yaml", "one.json"} })
	at := time.Now().Add(-time.Hour)
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(s.env.Dir, name)
		at = at.Add(time.Second)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	check := func(problem string, want map[string]float64) {
		t.Helper()
		got := collect(t, s)
		values := got.everything()
		for name := range values {
			if !strings.HasPrefix(name, "x{") {
				delete(values, name)
			}
		}
		if diff := cmp.Diff(want, values); diff != "" {
			t.Errorf("wrong series (-want +got):\n%s", diff)
		}
		if text := strings.ReplaceAll(got.problem(), s.env.Dir, "DIR"); text != problem {
			t.Errorf("the problem is %q, want %q", text, problem)
		}
	}
	one := fmt.Sprintf(`x{instance="%s",job="node",rack="7"}`, a.instance())
	two := fmt.Sprintf(`x{instance="%s",job="other"}`, b.instance())
	check("read targets from DIR/one.json: no such file", map[string]float64{})
	write("one.json", `[{"targets": ["`+b.instance()+`"], "labels": {"job": "other", "__metrics_path__": "/metrics", "__param_a": "b"}}]`)
	check("", map[string]float64{two: 2})
	write("targets/a.yaml", "- targets: ["+a.instance()+"]\n  labels: {rack: \"7\"}\n")
	check("", map[string]float64{one: 1, two: 2})
	write("targets/a.yaml", "- targets: ["+a.instance()+"\n")
	broken := collect(t, s).problem()
	if !strings.HasPrefix(strings.ReplaceAll(broken, s.env.Dir, "DIR"), "read targets from DIR/targets/a.yaml: want a list of {targets, labels}: ") {
		t.Errorf("the invalid file: %q", broken)
	}
	check(strings.ReplaceAll(broken, s.env.Dir, "DIR"), map[string]float64{one: 1, two: 2})
	write("targets/a.yaml", "- targets: [\"ftp://x\"]\n")
	check("read targets from DIR/targets/a.yaml: target \"ftp://x\": want a URL that starts with http:// or https://", map[string]float64{one: 1, two: 2})
	write("targets/a.yaml", "[]\n")
	check("", map[string]float64{two: 2})
	write("targets/b.yaml", "- targets: ["+b.instance()+", "+b.instance()+"]\n  labels: {job: other}\n")
	check(b.URL+"/metrics is not scraped: another target has the same labels {instance=\""+b.instance()+"\", job=\"other\"}", map[string]float64{two: 2})
	if err := os.Remove(filepath.Join(s.env.Dir, "one.json")); err != nil {
		t.Fatal(err)
	}
	check("read targets from DIR/one.json: no such file", map[string]float64{two: 2})
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing":      {func(*Config) {}, "targets: is required"},
		"twice":        {func(c *Config) { c.Targets = addresses(t, "a:1", "http://a:1/other") }, "targets.1: has the same labels (instance=\"a:1\") as targets.0"},
		"pattern":      {func(c *Config) { c.FileSD.Files = []string{"["} }, "file_sd.files.0: is not a valid pattern: want a closing bracket"},
		"depths":       {func(c *Config) { c.FileSD.Files = []string{"a/**/*.yaml"} }, "file_sd.files.0: ** is not supported"},
		"body":         {func(c *Config) { c.BodySizeLimit = 0 }, "body_size_limit: want more than 0"},
		"limit":        {func(c *Config) { c.LabelLimit = -1 }, "label_limit: want a number above 0"},
		"regex":        {func(c *Config) { c.MetricRelabel = relabel.Rules{{Regex: new("(")}} }, "metric_relabel_configs.0: regex: missing closing )"},
		"action":       {func(c *Config) { c.MetricRelabel = relabel.Rules{{Action: "remove"}} }, "metric_relabel_configs.0: action: want one of replace keep drop"},
		"target label": {func(c *Config) { c.MetricRelabel = relabel.Rules{{}} }, "metric_relabel_configs.0: relabel configuration for replace action requires 'target_label'"},
	} {
		t.Run(name, func(t *testing.T) {
			set := Kind.Defaults().(*Config)
			c.change(set)
			err := set.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			for _, p := range setting.Problems(err) {
				if p.Path == "" {
					t.Errorf("%q names no setting", p.Text)
				}
			}
		})
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:9100":           "localhost:9100",
		"host":                     "host",
		"https://h:1/m?x=1":        "https://h:1/m?x=1",
		"http://h:1/":              "http://h:1/",
		"[::1]:9100":               "[::1]:9100",
		"http://ops:secret@h:9100": "",
		"":                         "",
		"ftp://x":                  "",
	} {
		var a Address
		if err := a.UnmarshalText([]byte(text)); (err == nil) != (want != "") || err == nil && a.String() != want {
			t.Errorf("%q is %s, %v; want %q", text, a.String(), err, want)
		}
	}
}

// TestLabelNames checks that a description has the names of all labels of its series, without le and quantile.
func TestLabelNames(t *testing.T) {
	s, e := onePage(t, "a{x=\"1\"} 1\n")
	names := func(name string) string {
		t.Helper()
		return strings.Join(collect(t, s).family(name).Desc.LabelNames, " ")
	}
	if got := names("a"); got != "instance job x" {
		t.Errorf("a has the labels %s", got)
	}
	e.show(textKind, "a{x=\"1\"} 1\na{y=\"1\"} 1\n")
	if got := names("a"); got != "instance job x y" {
		t.Errorf("with another series a has the labels %s", got)
	}
	e.show(textKind, "# TYPE s summary\ns_sum 1\ns_count 1\ns_sum{quantile=\"7\"} 1\ns_count{quantile=\"7\"} 1\n")
	if got := names("s"); got != "instance job" {
		t.Errorf("s has the labels %s", got)
	}
	collect(t, s).want(map[string]float64{"s_sum": 1, "s_count": 1, `s_sum{quantile="7.0"}`: 1, `s_count{quantile="7.0"}`: 1})
}

// TestHistogramsOfTwoTargets checks that lines of two targets never make one histogram.
func TestHistogramsOfTwoTargets(t *testing.T) {
	page := func(bound string) string {
		return "# TYPE h histogram\nh_bucket{le=\"" + bound + "\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"
	}
	a, b := newExporter(t, page("1")), newExporter(t, page("2"))
	s := sourceOf(t, func(c *Config) {
		c.Targets = addresses(t, a.URL, b.URL)
		c.MetricRelabel = relabel.Rules{{Regex: new("instance"), Action: "labeldrop"}}
	})
	got := collect(t, s)
	h := got.family("h")
	if len(h.Series) != 1 || len(h.Desc.Buckets) != 1 || got.dropped(metric.Duplicate) != 4 {
		t.Errorf("%d histograms of %d bounds, %d lines dropped", len(h.Series), len(h.Desc.Buckets), got.dropped(metric.Duplicate))
	}
}
