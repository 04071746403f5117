package jq

import (
	"fmt"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/sources"
)

// TestRemedies checks what a message proposes if a value is not of the kind that is needed, and that the proposed expression gives
// a number.
func TestRemedies(t *testing.T) {
	const doc = `{"list":[1,2],"hourly":{"t":[3,4]},"o":{"value":5,"unit":"C"},"p":{"b":1,"a-b":2},"time":"2026-03-01T12:00:00Z","day":"2026-03-01","db":"-50 dBm","size":"12.3 MiB","free":"3.5 of the disk","up":"3d 4h","code":"E12","word":"open","e":{}}`
	for _, c := range []struct{ metric, remedy, instead string }{
		{"value: .list", `for a reading of each item write items: .list[], and for their number .list | length`, "value: .list | length"},
		{"value: .hourly.t", `items: .hourly.t[]`, "{items: '.hourly.t[]', value: ., on_duplicate: sum}"},
		{"{items: .hourly, value: .t}", `items: .hourly | .t[]`, "{items: '.hourly | .t[]', value: ., on_duplicate: sum}"},
		{"value: .o", `it has unit, value: write such as .o.value`, "value: .o.value"},
		{"value: .p", `it has a-b, b: write such as .p["a-b"]`, `value: '.p["a-b"]'`},
		{"value: .e", "the object is empty", "value: 1"},
		{"value: .time", ".time | timestamp gives its Unix seconds, and now - (.time | timestamp) its age", "value: .time | timestamp"},
		{"value: .day", `.day | . + "T00:00:00Z" | timestamp`, `value: '.day | . + "T00:00:00Z" | timestamp'`},
		{"value: .db", `.db | quantity("dBm")`, `value: '.db | quantity("dBm")'`},
		{"value: .size", `.size | quantity("B")`, `value: '.size | quantity("B")'`},
		{"value: .free", `.free | capture("(?<n>-?[0-9]+([.][0-9]+)?)").n`, `value: '.free | capture("(?<n>-?[0-9]+([.][0-9]+)?)").n'`},
		{"value: .up", ".up | duration", "value: .up | duration"},
		{"value: .code", "set map and default", "{value: .code, map: {E12: 1}, default: 0}"},
		{"{items: '.lis[]', value: .}", "cannot iterate over null; at . there are list, hourly, o, p, time, day, db, size and 5 more", "{items: '.list[]', value: ., on_duplicate: sum}"},
		{"value: .word", "set map and default", "{value: .word, map: {open: 1}, default: 0}"},
		{"value: .o.valu", "at .o there are unit, value", "value: .o.value"},
		{"value: .tim", "at . there are code, day, db, e, free, hourly, list, o and 5 more", "value: 1"},
		{"{value: 1, labels: {l: .o}}", "write such as .o.value", "{value: 1, labels: {l: .o.value}}"},
		{"{value: 1, labels: {l: .list}}", `.list | join(",")`, `{value: 1, labels: {l: '.list | map(tostring) | join(",")'}}`},
	} {
		collect := func(metric string) string {
			metric = strings.TrimSuffix(strings.TrimPrefix(metric, "{"), "}")
			s, err := configOf(t, "x: {type: gauge, "+quoteValue(metric)+"}").New(sources.Env{Fetch: &fixed{text: doc}})
			if err != nil {
				t.Fatal(metric, err)
			}
			readings, err := s.Collect(t.Context(), sources.Tick{})
			if err != nil {
				t.Fatal(metric, err)
			}
			return show(readings)
		}
		if got := collect(c.metric); !strings.Contains(got, c.remedy) {
			t.Errorf("%s: got %s, want it to say %s", c.metric, got, c.remedy)
		}
		if got := collect(c.instead); !strings.HasPrefix(got, "x") || strings.Contains(got, ":") || strings.Contains(got, "drops") {
			t.Errorf("%s: %s", c.instead, got)
		}
	}
}

// TestNumberRemedies checks for which texts a message proposes an expression, and the numbers that these expressions give. If the text
// can be two numbers, both expressions are proposed.
func TestNumberRemedies(t *testing.T) {
	const capture = `capture("(?<n>-?[0-9]+([.][0-9]+)?)").n`
	for text, want := range map[string]map[string]string{
		"1,5":      {`decimal(",")`: "1.5"},
		"1,234":    {`decimal(",")`: "1.234", `decimal(".")`: "1234"},
		"1.234,5":  {`decimal(",")`: "1234.5"},
		"1 234":    {`decimal(".")`: "1234"},
		"1'000":    {`decimal(".")`: "1000"},
		"1_000":    {`decimal(".")`: "1000"},
		"0x10":     {"hex": "16"},
		"1e5x":     {},
		"0x10 z":   {},
		"12abc z":  {},
		"5-10":     {},
		"3 / 4":    {},
		"10.0.0.1": {},
		"1 or .5":  {},
		"€1,50":    {`capture("(?<n>-?[0-9][0-9.,]*[0-9])").n | decimal(",")`: "1.5"},
		"€-1,50":   {`capture("(?<n>-?[0-9][0-9.,]*[0-9])").n | decimal(",")`: "-1.5"},
		"€1,500":   {`capture("(?<n>-?[0-9][0-9.,]*[0-9])").n | decimal(",")`: "1.5", `capture("(?<n>-?[0-9][0-9.,]*[0-9])").n | decimal(".")`: "1500"},
		"1:30":     {`. + ":00" | duration`: "5400", `split(":") | map(tonumber) | .[0] * 60 + .[1]`: "90"},
		"10:08":    {`. + ":00" | duration`: "36480", `split(":") | map(tonumber) | .[0] * 60 + .[1]`: "608"},
		"1.5k":     {`quantity("")`: "1500", `quantity("k")`: "1.5"},
		"-5 (low)": {capture: "-5"},
		"~ 3.25 °": {capture: "3.25"},
		"load: 7.": {capture: "7"},
		"50 %":     {`quantity("%")`: "50"},
	} {
		hint := textRemedy(".a", text)
		if len(want) == 0 && !strings.Contains(hint, "is not certain") {
			t.Errorf("%s: got %s", text, hint)
		}
		for how, number := range want {
			_, code, err := jq.Compile(how + " | tonumber")
			if err != nil {
				t.Fatal(err)
			}
			got, err := code.One(t.Context(), text)
			if !strings.Contains(hint, " .a | "+how) || err != nil || fmt.Sprint(got) != number {
				t.Errorf("%s: got %s, and %v, %v; want %s and %s", text, hint, got, err, how, number)
			}
		}
		if strings.Count(hint, " .a | ") != len(want) {
			t.Errorf("%s: got %s", text, hint)
		}
	}
}

// quoteValue puts the expression of a metric such as "value: .a" in quotes, since YAML may not read it as a plain text.
func quoteValue(metric string) string {
	if value, ok := strings.CutPrefix(metric, "value: ."); ok && !strings.Contains(value, ",") {
		return "value: '." + value + "'"
	}
	return metric
}

func TestRemedyIsBounded(t *testing.T) {
	object := map[string]any{}
	for i := range 1000 {
		object[strings.Repeat("k", 1000)+string(rune('a'+i%26))+strings.Repeat("x", i)] = i
	}
	for _, text := range []string{membersRemedy(".o", object), missingRemedy(".o.p", map[string]any{"o": object}), textRemedy(".t", strings.Repeat("9", 1<<20))} {
		if len(text) > 600 {
			t.Errorf("%d bytes: %.100s", len(text), text)
		}
	}
}
