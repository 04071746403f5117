package scrape

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
)

// TestLineRewritten checks that a series has no gap when its line is written in another way.
func TestLineRewritten(t *testing.T) {
	histogram := func(le string) string {
		return "# TYPE h histogram\nh_bucket{le=\"" + le + "\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"
	}
	for name, c := range map[string]struct {
		drop          string
		before, after string
		want          map[string]float64
	}{
		"dropped label":   {"pod", "m{pod=\"a\",x=\"1\"} 1\n", "m{pod=\"b\",x=\"1\"} 2\n", map[string]float64{`m{x="1"}`: 2}},
		"order of labels": {"", "m{a=\"1\",b=\"2\"} 1\n", "m{b=\"2\",a=\"1\"} 2\n", map[string]float64{`m{a="1",b="2"}`: 2}},
		"bound": {
			"", histogram("1"), histogram("1.0"),
			map[string]float64{`h_bucket{le="1.0"}`: 1, `h_bucket{le="+Inf"}`: 2, "h_sum": 3, "h_count": 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExporter(t, c.before)
			s := sourceOf(t, func(set *Config) {
				set.Targets = addresses(t, e.URL)
				if c.drop != "" {
					set.MetricRelabel = relabel.Rules{{Action: "labeldrop", Regex: &c.drop}}
				}
			})
			collect(t, s)
			e.show("text/plain", c.after)
			for range 2 {
				got := collect(t, s)
				if diff := cmp.Diff(c.want, got.values()); diff != "" {
					t.Errorf("- wanted, + got:\n%s", diff)
				}
				if n := got.dropped(metric.Duplicate); n > 0 {
					t.Errorf("%d lines are dropped as duplicates", n)
				}
			}
		})
	}
}

// TestTwoLinesOfOneSeries checks that one line is dropped if a series has two lines, whichever line comes first.
func TestTwoLinesOfOneSeries(t *testing.T) {
	one, other := "m{a=\"1\",b=\"2\"} 1\n", "m{b=\"2\",a=\"1\"} 5\n"
	e := newExporter(t, one+other)
	s := sourceOf(t, func(c *Config) { c.Targets = addresses(t, e.URL) })
	for _, page := range []string{one + other, one + other, other + one, other + one} {
		e.show("text/plain", page)
		got := collect(t, s)
		if len(got.values()) != 1 || got.dropped(metric.Duplicate) != 1 {
			t.Errorf("%q: got %v and %d duplicates", page, got.values(), got.dropped(metric.Duplicate))
		}
	}
}

// TestTypeRemovedAndChanged checks that a type is not remembered after the page has lost it.
func TestTypeRemovedAndChanged(t *testing.T) {
	e := newExporter(t, "# TYPE m counter\nm 1\n# TYPE o gauge\no 1\n")
	s := sourceOf(t, func(c *Config) { c.Targets = addresses(t, e.URL) })
	collect(t, s)
	e.show("text/plain", "m 1\n# TYPE o gauge\no 1\n")
	collect(t, s)
	e.show("text/plain", "# HELP m Hi.\n# TYPE m gauge\nm 1\n# TYPE o gauge\no 1\n")
	if d := collect(t, s).family("m").Desc; d.Type != metric.Gauge || d.Help != "Hi." {
		t.Errorf("m is a %s with the help %q", d.Type, d.Help)
	}
}

// FuzzChangedPage checks that the samples of a page do not depend on the previous page.
func FuzzChangedPage(f *testing.F) {
	const histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"
	for _, pages := range [][2]string{
		{"a 1\nb 2\nc 3\n", "a 4\nnew 5\nb 6\nc 7\n"},
		{"a 1\nb 2\nc 3\n", "c 1\nb 2\na 3\n"},
		{"a 1\nb 2\n", "a 1.5e3\nb -Inf\n"},
		{"a 1\nb 2\nc 3\n", "a 0x1p3\nb 1_0\nc 3\n"},
		{"a 1\nb 2\n", "a 1\x00\nb 2\n"},
		{"a 1\nb 2\n", "a 1 1000\nb\t2\n"},
		{"# TYPE a counter\n# HELP a Hi.\na 1\n", "# TYPE a gauge\n# HELP a Hi.\na 1\n"},
		{histogram, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 3\nh_count 3\n"},
		{histogram + "x 1\n", histogram + "x{le=\"1\"} 1\n"},
		{"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"1\"} 2\ns_sum 3\ns_count 1\n"},
		{"# TYPE a counter\na_total 1\na_created 5\n# EOF\n", "# TYPE a counter\na_total 2 # {t=\"1\"} 1\na_created 6\n# EOF\n"},
		{"a 1\nb 2\n# EOF\n", "a 1\nb 2\n"},
		// A # TYPE line that is gone, one that moves to a later place, and one that is followed by another.
		{histogram + "x{le=\"1\"} 1\n", histogram[1:] + "x{le=\"1\"} 1\n"},
		{histogram, strings.Replace(histogram, "# TYPE", "# HELP", 1)},
		{histogram, "h_bucket{le=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"},
		{histogram + "x{le=\"1\"} 1\n", histogram + "# TYPE x gauge\nx{le=\"1\"} 1\n"},
	} {
		f.Add(pages[0], pages[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, kind := range []string{textKind, omKind} {
			e := newExporter(t, first)
			set := func(c *Config) { c.Targets = addresses(t, e.URL) }
			e.show(kind, first)
			s := sourceOf(t, set)
			collect(t, s)
			e.show(kind, second)
			changed, fresh := collect(t, s), collect(t, sourceOf(t, set))
			if changed.report("up") != fresh.report("up") {
				t.Fatalf("%s: up is %v, and %v without the page before: %s %s", kind, changed.report("up"), fresh.report("up"), changed.problem(), fresh.problem())
			}
			if diff := cmp.Diff(fresh.values(), changed.values(), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("%s: - without the page before, + after it:\n%s", kind, diff)
			}
		}
	})
}
