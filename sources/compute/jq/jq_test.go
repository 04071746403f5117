package jq

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sources"
)

func TestValidate(t *testing.T) {
	f := func(config, want string) {
		t.Helper()
		c := &Config{}
		err := yaml.Load([]byte(config), c, yaml.WithKnownFields())
		if err == nil {
			err = c.Validate()
		}
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", config, got, want)
		}
	}
	f(`x_total: {type: counter, value: .v}`, "")
	f(`x_total: {type: counter, once_by: .id}`, "")
	f(`x: {type: gauge}`, "x.value: is required")
	f(`x: {value: .v}`, "x.type: is required: gauge, counter, histogram or summary")
	f(`x:`, "x: needs at least a type and a value")
	f(`{}`, "is empty: declare at least one metric, by its name")
	f(`x: {type: counter, value: .v}`, "x: a counter's name ends in _total: call it x_total, or make it a gauge if its value can fall")
	f(`x_total: {type: gauge, value: .v}`, "")
	f(`x_seconds_total: {type: gauge, value: .v, unit: seconds}`, "x_seconds_total.unit: the name of a metric with this unit")
	f(`"": {type: gauge, value: .v}`, `"" is not a valid metric name`)
	f(`cton_x: {type: gauge, value: .v}`, "reserved for the agent's own metrics")
	f(`x: {type: gauge, value: .v, unit: seconds}`, "x.unit: the name of a metric with this unit must end in")
	f(`x_seconds: {type: gauge, value: .v, unit: seconds}`, "")
	f(`x: {type: gauge, value: .v, labels: {a: .a}, const_labels: {a: b}}`, "x.const_labels.a: is in labels too: remove it from one of them")
	f(`x: {type: gauge, value: .v, labels: {__a: .a}}`, "reserved for Prometheus: choose another name")
	f(`x: {type: histogram, value: .v, labels: {le: .a}}`, "the label le is reserved for the series of a histogram")
	f(`x: {type: summary, value: .v, labels: {quantile: .a}}`, "is reserved for the series of a summary")
	f(`x: {type: gauge, value: .v, labels: {a: null}}`, "x.labels.a: is required")
	f(`x: {type: gauge, value: .v, from: increment}`, "")
	f(`x: {type: gauge, value: .v, from: increment, time: .t}`, "x.time: is only valid for a gauge without delta")
	f(`x: {type: gauge, value: .v, delta: true, time: .t}`, "x.time: is only valid for a gauge without delta")
	f(`x: {type: histogram, value: .v, time: .t}`, "x.time: is only valid for a gauge without delta")
	f(`x_total: {type: counter, value: .v, time: .t}`, "")
	f(`x_total: {type: counter, value: .v, from: increment, time: .t}`, "x_total.time: is only valid for a gauge without delta")
	f(`x_total: {type: counter, value: .v, once_by: .i, time: .t}`, "x_total.time: is only valid for a gauge without delta")
	f(`x: {type: gauge, value: .v, from: increment, delta: true}`, "x.delta: is only valid for a gauge without from: increment")
	f(`x: {type: gauge, value: .v, from: events}`, "x.from: is only valid for a counter")
	f(`x: {type: summary, value: .v, from: increment}`, "x.from: is only valid for a counter or a gauge")
	f(`x: {type: summary, value: .v, delta: true}`, "")
	f(`x: {type: histogram, value: .v, delta: true, on_duplicate: sum}`, "")
	f(`x: {type: histogram, value: .v, delta: true, once_by: .i}`, "x.delta: is only valid")
	f(`x_total: {type: counter, value: .v, delta: true}`, "x_total.delta: is only valid for a gauge")
	f(`x_total: {type: counter, value: .v, from: increment, once_by: .i}`, "x_total.from: is only valid")
	f(`x_total: {type: counter, value: .v, once_by: .i, on_decrease: ignore}`, "on_decrease: is only valid")
	f(`x: {type: histogram, value: .v, on_duplicate: sum}`, "on_duplicate: is only valid")
	f(`x: {type: gauge, value: .v, once_by: .i}`, "once_by: is only valid for")
	f(`x_total: {type: counter, value: .v, remember: 1h}`, "remember: is only valid with once_by")
	f(`x: {type: gauge, value: .v, buckets: [1]}`, "buckets: is only valid for a histogram")
	f(`x: {type: histogram, value: .v, buckets: [1, 1]}`, "x.buckets.1: want bounds in ascending order")
	f(`x: {type: histogram, value: .v, buckets: [.inf]}`, "x.buckets.0: want a finite upper bound")
	f(`x: {type: summary, value: .v, quantiles: [0.5, 1.5]}`, "x.quantiles.1: want a number between 0 and 1")
	f(`x: {type: summary, value: .v, max_age: 5m}`, "max_age: is only valid with quantiles")
	f(`x: {type: gauge, value: .v, map: {a: 1}}`, "x.map: needs a default for strings")
	f(`x: {type: gauge, value: .v, default: 1}`, "x.default: is only valid with map")
	f(`x: {type: gauge, value: .v, map: {a: one}, default: 1}`, "want a number")
	f(`x: {type: gauge, value: '.['}`, "not a jq expression: unexpected EOF")
	f(`x: {type: gauge, value: 'foo(1)'}`, "jq: function not defined: foo/1")
	f(`x: {type: gauge, value: '$x'}`, "jq: variable not defined: $x")
	f(`x: {type: gauge, value: 'input'}`, "jq: input(s)/0 is not allowed")
	f(`x: {type: gauge, value: 'import "a" as a; .'}`, "jq: ")
	f(`x: {type: gauge, value: '`+strings.Repeat(" ", 20000)+`'}`, "the expression exceeds")
}

// TestDated checks which configurations can run for a window of the past. In those, every metric has readings with their own timestamps, or
// uses the window in an expression.
func TestDated(t *testing.T) {
	for config, want := range map[string]bool{
		"a: {type: gauge, value: .v}":                                                        false,
		"a: {type: gauge, value: .v, time: .at}":                                             true,
		"a: {type: gauge, value: .v, time: .at}\nb: {type: gauge, value: .v}":                false,
		"a: {type: gauge, items: '.[] | select(.at < $end)', value: .v}":                     true,
		"a: {type: gauge, items: '.[] | select(.at >= $start)', value: .v}":                  true,
		"a: {type: gauge, value: .v, labels: {l: '.at - $start'}}":                           true,
		"a: {type: gauge, value: .v, time: .at}\nb: {type: gauge, value: '.v | . - $start'}": true,
	} {
		if got := configOf(t, config).Dated(); got != want {
			t.Errorf("%s: got %v", config, got)
		}
	}
}

func TestNewNeedsAFetcher(t *testing.T) {
	_, err := configOf(t, "a: {type: gauge, value: .v}").New(sources.Env{})
	if err == nil || err.Error() != "the job has no fetcher: metrics need one, such as http, exec, file or sql" {
		t.Errorf("got %v", err)
	}
}

// TestExplain checks which part of each expression needs gojq.
func TestExplain(t *testing.T) {
	var got []string
	for _, x := range configOf(t, `
b: {type: gauge, items: '.list[] | select(test("x"))', value: '.v | floor', labels: {m: .m, l: '.[]'}}
a_total: {type: counter, items: '.list[]', once_by: "[.id,\n  .at]"}
`).expressions() {
		got = append(got, fmt.Sprintf("%s: %s: %q", x.Setting, x.Text, x.Needs))
	}
	want := []string{
		`a_total.items: .list[]: ""`, `a_total.once_by: [.id, .at]: "[.id, .at]"`,
		`b.items: .list[] | select(test("x")): "test(\"x\")"`, `b.value: .v | floor: "floor"`, `b.labels.l: .[]: ".[]"`, `b.labels.m: .m: ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
