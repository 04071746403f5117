package expose

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/metric"
)

// accepts returns an Accept header for each format. The headers ask for names without escaping.
func accepts() map[string]string {
	all := map[string]string{}
	for _, f := range formats() {
		all[string(f)] = string(f.WithEscapingScheme(model.NoEscaping))
	}
	return all
}

// parsed is a page as Prometheus' parser reads it.
type parsed struct {
	Values map[string]float64 // by series; with @TIMESTAMP if it has one
	Types  map[string]string
	Help   map[string]string
}

// parse parses a page as a scrape does. Duplicate series, families and labels are errors.
func parse(t testing.TB, page, contentType string) parsed {
	t.Helper()
	p, err := textparse.New([]byte(page), contentType, labels.NewSymbolTable(), textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true})
	if err != nil {
		t.Fatal(err)
	}
	got := parsed{map[string]float64{}, map[string]string{}, map[string]string{}}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("%s: the page does not parse: %v\n%.3000s", contentType, err, page)
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			got.seen(t, got.Types, string(name), string(kind))
		case textparse.EntryHelp:
			name, help := p.Help()
			got.seen(t, got.Help, string(name), string(help))
		case textparse.EntrySeries:
			_, at, value := p.Series()
			got.set(t, p, at, value)
		case textparse.EntryHistogram:
			_, at, h, _ := p.Histogram()
			got.set(t, p, at, float64(h.Count))
		}
	}
}

func (p *parsed) seen(t testing.TB, in map[string]string, name, text string) {
	t.Helper()
	name = strings.TrimSuffix(name, "_total") // not part of the name in OpenMetrics
	if _, twice := in[name]; twice {
		t.Errorf("the family %s is there twice", name)
	}
	in[name] = strings.Replace(text, "untyped", "unknown", 1)
}

func (p *parsed) set(t testing.TB, from textparse.Parser, at *int64, value float64) {
	t.Helper()
	var l labels.Labels
	from.Labels(&l)
	if name, twice := l.HasDuplicateLabelNames(); twice {
		t.Errorf("%s has the label %s twice", l, name)
	}
	series := l.String()
	if at != nil {
		series += fmt.Sprint("@", *at)
	}
	if _, twice := p.Values[series]; twice {
		t.Errorf("the series %s is there twice", series)
	}
	p.Values[series] = value
}

// everything returns families of every type, with values, labels and names that need care in a format.
func everything() []metric.Family {
	counter := &metric.Desc{Name: "calls_total", Help: "Calls\nand \\ \"more\".", Type: metric.Counter, LabelNames: []string{"code"}}
	took := &metric.Desc{Name: "took_seconds", Help: "Time.", Unit: "seconds", Type: metric.Histogram, Buckets: []float64{0.1, 2.5}, Native: true}
	size := &metric.Desc{Name: "size_bytes", Unit: "bytes", Type: metric.Summary, Quantiles: []float64{0.5, 0.99}}
	plain := &metric.Desc{Name: "plain", Type: metric.Unknown}
	foreign := &metric.Desc{Name: "größe.in.m", Help: "UTF-8.", Type: metric.Gauge, LabelNames: []string{"where.to"}}
	temp := gauge("temp", "a", "b \"c\" \\ \n d", "", "\u00e5")
	for i, v := range []float64{math.Inf(1), -0.25, 1<<53 - 1, 1e-300} {
		temp.Series[i].Value = v
	}
	temp.Series[1].Time = 1772366400123
	native := &metric.NativeBuckets{Schema: 3, ZeroThreshold: 1e-9, ZeroCount: 1, Positive: []metric.NativeBucket{{Index: -4, Count: 2}, {Index: 9, Count: 3}}}
	return []metric.Family{
		temp,
		{Desc: counter, Series: []metric.Series{{Labels: counter.LabelSet([]string{"200"}), Value: 1, Start: 1772366400000}}},
		{Desc: took, Series: []metric.Series{{
			Labels: took.LabelSet(nil), Start: 1772366400000,
			More: &metric.More{Histogram: &metric.HistogramValue{Count: 6, Sum: 12.5, Counts: []uint64{1, 2, 3}, Native: native}},
		}}},
		{Desc: size, Series: []metric.Series{{
			Labels: size.LabelSet(nil), Start: 1772366400000,
			More: &metric.More{Summary: &metric.SummaryValue{Count: 10, Sum: 70, Quantiles: []float64{7, 9}}},
		}}},
		{Desc: plain, Series: []metric.Series{{Labels: plain.LabelSet(nil), Value: 3}}},
		{Desc: foreign, Series: []metric.Series{{Labels: foreign.LabelSet([]string{"x"}), Value: 4}}},
		gauge("empty"),
	}
}

// TestFormatsAgree checks that every format has the same series, types and help.
func TestFormatsAgree(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "all", everything()...)
	b.write(t, "many", large("many", 2500))
	text := expfmt.FmtText.WithEscapingScheme(model.NoEscaping)
	want := parse(t, b.scrape(t, string(text), false), string(text))
	if n := len(want.Values); n != 2500+4+1+5+4+1+1 {
		t.Errorf("the text format has %d series", n)
	}
	if want.Types["calls"] != "counter" || want.Types["took_seconds"] != "histogram" || want.Types["plain"] != "unknown" || want.Types["größe.in.m"] != "gauge" {
		t.Errorf("types: %v", want.Types)
	}
	for name, accept := range accepts() {
		for _, zipped := range []bool{false, true} {
			got := parse(t, b.scrape(t, accept, zipped), name)
			if strings.HasPrefix(name, "application/vnd") {
				delete(got.Values, `{__name__="took_seconds"}`) // the native histogram, which only protobuf has
				want.Help["plain"], want.Help["size_bytes"] = "", ""
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, gzip %t, differs from the text format (-text +got):\n%s", name, zipped, diff)
			}
			delete(want.Help, "plain")
			delete(want.Help, "size_bytes")
		}
	}
}

func large(name string, n int) metric.Family {
	rooms := make([]string, n)
	for i := range rooms {
		rooms[i] = fmt.Sprint("room-", i)
	}
	return gauge(name, rooms...)
}

// TestExpfmtParsesThePage checks that the parser of prometheus/common accepts the text format.
func TestExpfmtParsesThePage(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "all", everything()...)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(b.text()))
	if err != nil || len(families) != 6 {
		t.Errorf("%d families, %v", len(families), err)
	}
	at := strings.Index(b.text(), "# TYPE")
	if names := lines(b.text(), "# TYPE"); at < 0 || !slices.IsSorted(names[:4]) {
		t.Errorf("families are not sorted: %q", names)
	}
}

// lines returns the lines that begin with begin.
func lines(text, begin string) (all []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// TestOpenMetricsEnd checks that an OpenMetrics page has one # EOF, at its end.
func TestOpenMetricsEnd(t *testing.T) {
	b := open(t, Config{})
	const accept = "application/openmetrics-text; version=1.0.0"
	if got := b.scrape(t, accept, true); got != "# EOF\n" {
		t.Errorf("an empty page is %q", got)
	}
	b.write(t, "all", everything()...)
	b.write(t, "more", large("many", 1001))
	got := b.scrape(t, accept, true)
	if strings.Count(got, "# EOF") != 1 || !strings.HasSuffix(got, "\n# EOF\n") {
		t.Errorf("ends wrongly: …%q", got[len(got)-40:])
	}
	if strings.Contains(got, "_created") {
		t.Error("it has _created series")
	}
	if !strings.Contains(got, "# UNIT took_seconds seconds\n") {
		t.Error("the unit is missing")
	}
}

// TestNegotiation checks the format and the compression for request headers.
func TestNegotiation(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "all", everything()...)
	for accept, want := range map[string]string{
		"":                                   "text/plain; version=0.0.4; charset=utf-8; escaping=",
		"text/html":                          "text/plain; version=0.0.4; charset=utf-8; escaping=",
		"application/openmetrics-text":       "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=",
		strings.Repeat("application/x,", 99): "text/plain; version=0.0.4; charset=utf-8; escaping=",
		// Prometheus 3.
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1": "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.1":     "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=",
	} {
		if got := b.ask("GET", "/metrics", "Accept", accept).Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%.80s\nanswered by %s\nwant        %s", accept, got, want)
		}
	}
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip;q=1.0, *;q=0.5": true, "gzip;q=0": false, "*": true, "*, gzip;q=0": false,
		"gzip;q=0, *": false, "br": false, "GZIP": true, "x-gzip": false, "gzip;q=no": false, "gzip; q=0.1": true, "identity;q=1, *;q=0": false,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("%q accepts gzip: %t", header, got)
		}
	}
}

// TestEscaping checks how UTF-8 names are escaped for each scheme.
func TestEscaping(t *testing.T) {
	for accept, want := range map[string]string{
		"text/plain;version=0.0.4;escaping=allow-utf-8": `{"größe.in.m","where.to"="x"} 4`,
		"text/plain;version=0.0.4;escaping=underscores": `gr__e_in_m{where_to="x"} 4`,
		"text/plain;version=0.0.4;escaping=dots":        `gr____e_dot_in_dot_m{where_dot_to="x"} 4`,
		"text/plain;version=0.0.4;escaping=values":      `U__gr_f6__df_e_2e_in_2e_m{U__where_2e_to="x"} 4`,
	} {
		b := open(t, Config{})
		b.write(t, "all", everything()...)
		if got := b.scrape(t, accept, true); !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("%s lacks %s:\n%s", accept, want, got)
		}
	}
}

// TestEscapedNamesCollide checks that the page is valid if different names are equal after escaping.
func TestEscapedNamesCollide(t *testing.T) {
	b := open(t, Config{})
	d := &metric.Desc{Name: "w", Type: metric.Gauge, LabelNames: []string{"a.b", "a_b"}}
	f := metric.Family{Desc: d}
	for i, values := range [][]string{{"1", "2"}, {"3", ""}, {"", "3"}, {"", "4"}} {
		f.Series = append(f.Series, metric.Series{Labels: d.LabelSet(values), Value: float64(i)})
	}
	b.write(t, "job", f, gauge("x.y", "dot"), gauge("x_y", "line"), gauge("x-y", "dash"), gauge("z-z", "first"), gauge("z.z", "second"))
	const accept = "text/plain;version=0.0.4;escaping="
	got := parse(t, b.scrape(t, accept+"underscores", false), "text/plain")
	want := map[string]float64{
		`{__name__="w", a_b="3"}`: 1, `{__name__="w", a_b="4"}`: 3,
		`{__name__="x_y", room="line"}`: 1, `{__name__="z_z", room="first"}`: 1,
	}
	if diff := cmp.Diff(want, got.Values); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	b.write(t, "other", gauge("fine", "a"))
	if got := b.logged(); strings.Count(got, "escaped names collide") != 1 || !strings.Contains(got, "escaping=underscores series=5") {
		t.Errorf("logged:\n%s", got)
	}
	if got := parse(t, b.scrape(t, accept+"allow-utf-8", false), "text/plain"); len(got.Values) != 10 {
		t.Errorf("without escaping there are %d series: %v", len(got.Values), slices.Collect(maps.Keys(got.Values)))
	}
}

// TestPagesDependOnLastBatches checks that a page depends only on the newest batch of each job: a new sink that gets only these batches has
// the same page.
func TestPagesDependOnLastBatches(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	updated := open(t, Config{})
	last := map[string][]metric.Family{}
	for range 60 {
		job := fmt.Sprint("job-", random.IntN(3))
		var families []metric.Family
		for i := range random.IntN(4) {
			families = append(families, large(fmt.Sprintf("%s.metric_%d", job[:3+random.IntN(3)], i), random.IntN(40)))
		}
		last[job] = families
		updated.write(t, job, families...)
		fresh := open(t, Config{})
		for _, job := range slices.Sorted(maps.Keys(last)) {
			fresh.write(t, job, last[job]...)
		}
		for _, accept := range accepts() {
			if a, b := updated.scrape(t, accept, true), fresh.scrape(t, accept, false); a != b {
				t.Fatalf("%s differs:\n%s\nwant:\n%s", accept, a, b)
			}
		}
	}
}
