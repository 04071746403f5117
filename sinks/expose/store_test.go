package expose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// wantValues compares the page as Prometheus' parser reads it.
func wantValues(t *testing.T, b *bench, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, parse(t, b.text(), "text/plain").Values); diff != "" {
		t.Errorf("the page has wrong series (-want +got):\n%s", diff)
	}
}

func (b *bench) wantDropped(t *testing.T, reason metric.Reason, want int64) {
	t.Helper()
	if got := b.env.Stats.Dropped()[reason]; got != want {
		t.Errorf("%d are counted as %s, want %d", got, reason, want)
	}
}

// TestOneFamilyOfSeveralJobs checks that a family is on the page once, with the series of all jobs.
func TestOneFamilyOfSeveralJobs(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "b", gauge("load", "2"), gauge("zoo", "1"))
	b.write(t, "c", gauge("load", "3"))
	b.write(t, "a", gauge("load", "1"), gauge("ant", "1"))
	want := `# HELP ant A gauge.
# TYPE ant gauge
ant{room="1"} 1
# HELP load A gauge.
# TYPE load gauge
load{room="1"} 1
load{room="2"} 1
load{room="3"} 1
# HELP zoo A gauge.
# TYPE zoo gauge
zoo{room="1"} 1
`
	if diff := cmp.Diff(want, b.text()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := b.env.Stats.Sent.Load(); got != 5 {
		t.Errorf("%d are counted as sent, want 5", got)
	}
}

// TestHelpOfFirstJob checks that a family has the help of the first job by name.
func TestHelpOfFirstJob(t *testing.T) {
	b := open(t, Config{})
	other := gauge("load", "2")
	other.Desc.Help = "Another."
	b.write(t, "b", other)
	b.write(t, "a", gauge("load", "1"))
	for contentType, accept := range accepts() {
		if got := parse(t, b.scrape(t, accept, false), contentType).Help["load"]; got != "A gauge." {
			t.Errorf("%s: got %q", contentType, got)
		}
	}
}

// TestDuplicateSeries checks a series that two jobs have: the job that is first by name keeps the series.
func TestDuplicateSeries(t *testing.T) {
	b := open(t, Config{})
	b.text() // the page is kept up to date from now on
	b.write(t, "b", gauge("load", "x", "y", "z"))
	b.wantDropped(t, sinks.Collision, 0)
	b.write(t, "a", gauge("load", "y", "x"))
	wantValues(t, b, map[string]float64{
		`{__name__="load", room="y"}`: 1, `{__name__="load", room="x"}`: 2, `{__name__="load", room="z"}`: 3,
	})
	for range 3 {
		b.write(t, "b", gauge("load", "x", "y", "z"))
	}
	b.wantDropped(t, sinks.Collision, 6)
	if got := b.logged(); strings.Count(got, "not on the page") != 1 || !strings.Contains(got, `job=b series=2 first="load: job a has the same series"`) {
		t.Errorf("logged:\n%s", got)
	}
	b.write(t, "a")
	b.write(t, "b", gauge("load", "x", "y", "z"))
	wantValues(t, b, map[string]float64{
		`{__name__="load", room="x"}`: 1, `{__name__="load", room="y"}`: 2, `{__name__="load", room="z"}`: 3,
	})
	if !strings.Contains(b.logged(), "all series of the job are on the page again") {
		t.Errorf("logged:\n%s", b.logged())
	}
	if sent := b.env.Stats.Sent.Load(); sent != 3+2+3*1+0+3 {
		t.Errorf("%d are counted as sent", sent)
	}
}

// TestTwiceInOneJob checks a source that breaks its contract and returns one series twice. It does not harm what the page shows of other
// jobs.
func TestTwiceInOneJob(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "b", gauge("load", "z"))
	b.write(t, "a", gauge("load", "x", "x"))
	wantValues(t, b, map[string]float64{`{__name__="load", room="x"}`: 1, `{__name__="load", room="z"}`: 1})
	if got := b.logged(); !strings.Contains(got, `job=a series=1 first="load: the job has the same series twice"`) {
		t.Errorf("logged:\n%s", got)
	}
}

// TestSeriesOfHistogram checks that a histogram or summary keeps the names of its series, as long as it is on the page, whichever job comes
// first.
func TestSeriesOfHistogram(t *testing.T) {
	d := &metric.Desc{Name: "q", Type: metric.Summary}
	whole := metric.Family{Desc: d, Series: []metric.Series{{Labels: d.LabelSet(nil), More: &metric.More{Summary: &metric.SummaryValue{Count: 3, Sum: 1}}}}}
	b := open(t, Config{})
	b.text() // the page is kept up to date from now on
	b.write(t, "a", gauge("q_bucket", "x"), gauge("q_count", "x"))
	alone := map[string]float64{`{__name__="q_bucket", room="x"}`: 1, `{__name__="q_count", room="x"}`: 1}
	wantValues(t, b, alone)
	b.write(t, "b", whole)
	wantValues(t, b, map[string]float64{`{__name__="q_bucket", room="x"}`: 1, `{__name__="q_count"}`: 3, `{__name__="q_sum"}`: 1})
	b.write(t, "a", gauge("q_bucket", "x"), gauge("q_count", "x"))
	wantValues(t, b, map[string]float64{`{__name__="q_bucket", room="x"}`: 1, `{__name__="q_count"}`: 3, `{__name__="q_sum"}`: 1})
	if got := b.logged(); !strings.Contains(got, `job=a series=1 first="q_count: the summary q of job b has series of this name"`) {
		t.Errorf("logged:\n%s", got)
	}
	b.write(t, "b")
	wantValues(t, b, alone)
}

// TestSimilarSeries checks series whose names and values are equal only when they are concatenated. They are different series.
func TestSimilarSeries(t *testing.T) {
	b := open(t, Config{})
	for job, name := range map[string]string{"a": "ab", "b": "a"} {
		d := &metric.Desc{Name: "load", Type: metric.Gauge, LabelNames: []string{name}}
		b.write(t, job, metric.Family{Desc: d, Series: []metric.Series{{Labels: d.LabelSet([]string{"abc"[len(name):]})}}})
	}
	wantValues(t, b, map[string]float64{`{__name__="load", ab="c"}`: 0, `{__name__="load", a="bc"}`: 0})
}

// TestTypeConflict checks that the first job by name decides the type of a family.
func TestTypeConflict(t *testing.T) {
	for _, settings := range []Config{{}, {JobLabel: "from"}} {
		b := open(t, settings)
		counter := gauge("load", "x")
		counter.Desc.Type = metric.Counter
		b.write(t, "b", counter, gauge("fine", "x"))
		b.write(t, "a", gauge("load", "y"))
		b.write(t, "b", counter, gauge("fine", "x"))
		got := parse(t, b.text(), "text/plain")
		if len(got.Values) != 2 || got.Types["load"] != "gauge" {
			t.Errorf("got %v", got)
		}
		b.wantDropped(t, sinks.Collision, 1)
		if !strings.Contains(b.logged(), `first="load: its type is gauge in job a and counter here"`) {
			t.Errorf("logged:\n%s", b.logged())
		}
	}
}

// TestFamilyTwiceInBatch checks that two families of one name in a batch become one.
func TestFamilyTwiceInBatch(t *testing.T) {
	for _, settings := range []Config{{}, {JobLabel: "room"}} {
		b := open(t, settings)
		b.write(t, "a", gauge("load", "x"), gauge("rest", "x"), gauge("load", "y", "x"))
		if got := parse(t, b.text(), "text/plain").Values; len(got) != 3 {
			t.Errorf("got %v", got)
		}
		b.write(t, "a", gauge("load", "x"))
		if got := parse(t, b.text(), "text/plain").Values; len(got) != 1 {
			t.Errorf("got %v", got)
		}
	}
}

func TestJobLabel(t *testing.T) {
	b := open(t, Config{JobLabel: "room"})
	b.write(t, "b", gauge("load", "x"))
	b.write(t, "a", gauge("load", "x", ""))
	two := &metric.Desc{Name: "two", Type: metric.Gauge, LabelNames: []string{"zone", "room", "exported_room"}}
	b.write(t, "c", metric.Family{Desc: two, Series: []metric.Series{{Labels: two.LabelSet([]string{"1", "2", "3"})}, {}}})
	wantValues(t, b, map[string]float64{
		`{__name__="load", exported_room="x", room="a"}`:                                      1,
		`{__name__="load", room="a"}`:                                                         2,
		`{__name__="load", exported_room="x", room="b"}`:                                      1,
		`{__name__="two", exported_exported_room="2", exported_room="3", room="c", zone="1"}`: 0,
		`{__name__="two", room="c"}`:                                                          0,
	})
	b.wantDropped(t, sinks.Collision, 0)
}

// TestInvalidFamilies checks a family that would make the page invalid. The family is dropped and counted. The other families stay.
func TestInvalidFamilies(t *testing.T) {
	with := func(d metric.Desc, value string) metric.Family {
		values := make([]string, len(d.LabelNames))
		for i := range values {
			values[i] = value
		}
		return metric.Family{Desc: &d, Series: []metric.Series{{
			Labels: d.LabelSet(values), More: &metric.More{Histogram: &metric.HistogramValue{}, Summary: &metric.SummaryValue{}},
		}}}
	}
	bad := []metric.Family{
		with(metric.Desc{Name: "", Type: metric.Gauge}, ""),
		with(metric.Desc{Name: "a\xff", Type: metric.Gauge}, ""),
		with(metric.Desc{Name: "b", Type: metric.Gauge, LabelNames: []string{"x:y"}}, "1"),
		with(metric.Desc{Name: "c", Type: metric.Gauge, LabelNames: []string{"\xff"}}, "1"),
		with(metric.Desc{Name: "d", Type: metric.Histogram, LabelNames: []string{"le"}}, "1"),
		with(metric.Desc{Name: "e", Type: metric.Summary, LabelNames: []string{"quantile"}}, "1"),
		with(metric.Desc{Name: "f", Type: metric.Gauge, Const: []metric.Label{{Name: "__name__", Value: "g"}}}, "1"),
	}
	bad = append(bad, metric.Family{Desc: &metric.Desc{Name: "h", Type: metric.Histogram}, Series: []metric.Series{{}}},
		metric.Family{Desc: &metric.Desc{Name: "i", Type: metric.Summary}, Series: []metric.Series{{}}})
	b := open(t, Config{})
	b.write(t, "a", append(bad, gauge("fine", "1"))...)
	for accept := range accepts() {
		if got := parse(t, b.scrape(t, accept, true), accept).Values; len(got) != 1 {
			t.Errorf("got %v", got)
		}
	}
	b.wantDropped(t, sinks.Unsupported, int64(len(bad)))
	b.write(t, "a", gauge("fine", "bad \xff value"))
	for contentType, accept := range accepts() {
		got := parse(t, b.scrape(t, accept, true), contentType).Values
		if diff := cmp.Diff(map[string]float64{"{__name__=\"fine\", room=\"bad \uFFFD value\"}": 1}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", contentType, diff)
		}
	}
}
