package remotewrite

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

func TestSeriesIn(t *testing.T) {
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
		if got := metric.Labels(seriesIn(text)).String(); got != want && !(want == "{}" && got == "") {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzSeriesIn: whatever a receiver says is no danger, and a series that Prometheus writes is read as it is.
func FuzzSeriesIn(f *testing.F) {
	f.Add("x{a=\"b\"}", "a", "b\"\\\n é")
	f.Add("{", "__name__", "")
	f.Add("{a", "a=b", "=")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		seriesIn(text)
		l := labels.FromStrings("__name__", "x", name, value)
		if name == "__name__" || name == "" || value == "" {
			return
		}
		got := seriesIn("out of order: " + l.String() + " and more")
		want := make([]metric.Label, 0, 2)
		l.Range(func(l labels.Label) { want = append(want, metric.Label{Name: l.Name, Value: l.Value}) })
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%s is read as %v", l, got)
		}
	})
}
