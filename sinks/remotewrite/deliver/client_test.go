package deliver

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

func TestHints(t *testing.T) {
	for text, want := range map[string]string{
		"err: out of order sample. timestamp=…":                                    "another sender writes the same series",
		"store locally for endpoint 127.0.0.1: add 1 samples: out of order sample": "another sender writes the same series",
		"duplicate sample for timestamp 1":                                         "another sender writes the same series",
		"out of bounds for series {}":                                              "the receiver does not accept samples this old",
		"timestamp is too far in the future":                                       "the clock",
		"per-user series limit of 150000 exceeded (ERR-MIMIR-max-series-per-user)": "fewer label values",
		"too big packed request; see -maxInsertRequestSize":                        "lower request.max_samples",
		"native histograms are disabled":                                           "set native to false",
		"something new":                                                            "",
	} {
		if got := hint(400, text); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestSeriesOfAResponse(t *testing.T) {
	for text, want := range map[string]string{
		`out of order for series {a="}\"", b="c"} and {d="e"}`: `{a="}\"", b="c"}`,
		`cut short {a="b`: `{a="b`,
		`none`:            "",
	} {
		if got := (&response{text: text}).series(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestRejectedLabels(t *testing.T) {
	for text, want := range map[string]string{
		`out of order: series={__name__="x", room="a"}, sorry`: `{__name__="x",room="a"}`,
		`sample for x{room="a\"}",code="200"} is old`:          `{__name__="x",code="200",room="a\"}"}`,
		`series: {"strange name"="1", __name__="x"}`:           `{__name__="x","strange name"="1"}`,
		`(x{})`:             `{__name__="x"}`,
		`{a="b`:             `{}`,
		`{a=b}`:             `{}`,
		`{{{`:               `{}`,
		`no series`:         `{}`,
		`{a="b", c="d" e="`: `{}`,
	} {
		if got := metric.Labels((&response{text: text}).rejectedLabels()).String(); got != want && !(want == "{}" && got == "") {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzRejectedLabels checks that no text panics, and that a series formatted by Prometheus is parsed.
func FuzzRejectedLabels(f *testing.F) {
	f.Add("x{a=\"b\"}", "a", "b\"\\\n é")
	f.Add("{", "__name__", "")
	f.Add("{a", "a=b", "=")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		_ = (&response{text: text}).rejectedLabels()
		l := labels.FromStrings("__name__", "x", name, value)
		if name == "__name__" || name == "" || value == "" {
			return
		}
		got := (&response{text: "out of order: " + l.String() + " and more"}).rejectedLabels()
		want := make([]metric.Label, 0, 2)
		l.Range(func(l labels.Label) { want = append(want, metric.Label{Name: l.Name, Value: l.Value}) })
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%s is parsed as %v", l, got)
		}
	})
}
