package encode

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

func TestValidExemplars(t *testing.T) {
	for name, c := range map[string]struct {
		pairs []string
		want  string // labels; "none" = the exemplar is left out
	}{
		"valid":                          {[]string{"a", "b"}, `{a="b"}`},
		"no labels":                      {nil, "{}"},
		"an empty label":                 {[]string{"a", "", "b", "c"}, `{b="c"}`},
		"only an empty label":            {[]string{"a", ""}, "{}"},
		"a label twice":                  {[]string{"a", "b", "a", "c"}, "none"},
		"the same label twice":           {[]string{"a", "b", "a", "b"}, "none"},
		"an empty label, which is twice": {[]string{"a", "", "a", "c"}, `{a="c"}`},
		"not UTF-8":                      {[]string{"a", "\xff"}, "none"},
		"no name":                        {[]string{"", "x"}, "none"},
	} {
		good := metric.Exemplar{Value: 1, Labels: []metric.Label{{Name: "trace", Value: "t"}}}
		e := metric.Exemplar{Value: 2}
		for i := 0; i < len(c.pairs); i += 2 {
			e.Labels = append(e.Labels, metric.Label{Name: c.pairs[i], Value: c.pairs[i+1]})
		}
		s := &metric.Series{Value: 7, More: &metric.More{Exemplars: []metric.Exemplar{e, good}}}
		got := withValidExemplars(s)
		if n := len(s.Exemplars()); n != 2 || got.Value != 7 {
			t.Errorf("%s: the series has changed", name)
		}
		text, all := "none", got.Exemplars()
		if len(all) == 2 {
			if text = metric.Labels(all[0].Labels).String(); text == "" {
				text = "{}"
			}
		}
		if text != c.want || all[len(all)-1].Value != 1 {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}
