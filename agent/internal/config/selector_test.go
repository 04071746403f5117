package config

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// TestSelector checks what a selector accepts, and which series it names.
func TestSelector(t *testing.T) {
	d := &metric.Desc{Name: "m", Type: metric.Gauge, LabelNames: []string{"a", "b c"}}
	set := d.LabelSet([]string{`x"y`, "2"})
	for text, want := range map[string]bool{
		`m`: true, ` m `: true, `m{}`: true, `m{a="x\"y"}`: true, "m{a=`x\"y`}": true, `{"m"}`: true, `{"m", a="x\"y",}`: true, `m{"b c"="2" , a = "x\"y"}`: true,
		`m{a=""}`: false, `m{b="2"}`: false, `m{none=""}`: true, `m{job="j"}`: true, `m{job="k"}`: false,
	} {
		var s Selector
		if err := s.UnmarshalText([]byte(text)); err != nil || s.Metric != "m" {
			t.Errorf("%s: metric %q, %v", text, s.Metric, err)
		} else if got := s.Matches("j", set); got != want {
			t.Errorf("%s: matches is %t, want %t", text, got, want)
		}
	}
	for _, text := range []string{
		``, `{}`, `m{`, `m}`, `m{a}`, `m{a=}`, `m{a=~"x"}`, `m{a!="x"}`, `m{a=x}`, `m{a='x'}`, `m{a="x" b="y"}`, `m{"n"}`, `m.n`, `{a="x"}`, `{"m","n"}`, `{""}`, `m{="x"}`,
		`m{__name__="n"}`, `m{a="x"}[5m]`, `m offset 5m`, `m{,}`, `m{a="x`,
	} {
		if err := new(Selector).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// FuzzSelector checks that the text of an accepted selector is accepted again, and that it then selects the same series.
func FuzzSelector(f *testing.F) {
	for _, text := range []string{`m`, `m{a="x", b="y"}`, `{"m.n", "b c"="2"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Selector
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again.Metric != s.Metric || len(again.Labels) != len(s.Labels) || s.Metric == "" {
			t.Errorf("%q: %+v, then %+v, %v", text, s, again, err)
		}
	})
}
