package template

import (
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

func tickAt() sources.Tick {
	zone := time.FixedZone("CEST", 2*60*60)
	end := time.Date(2026, 7, 1, 12, 0, 0, 987654321, zone)
	return sources.Tick{Time: end.Add(time.Second), Start: end.Add(-time.Minute), End: end}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"plain":                               "plain",
		"{ } }}":                              "{ } }}",
		"{{ rfc3339 .Window.Start }}":         "2026-07-01T09:59:00Z",
		"{{ .Window.End | rfc3339 }}":         "2026-07-01T10:00:00Z",
		"{{ .Now }}":                          "2026-07-01T10:00:01Z",
		"{{ unix .Window.Start }}":            "1782899940",
		"{{ unixms .Window.Start }}":          "1782899940987",
		`from={{ date "2006-01-02" .Now }}&x`: "from=2026-07-01&x",
		`{{ before "1d" .Now }}`:              "2026-06-30T10:00:01Z",
		`{{ .Window.Start | before "1h30m" | unix }}`:      "1782894540",
		`{{ date "15:04" .Window.Start }}{{/* note */}}-a`: "09:59-a",
		`{{ truncate "5m" .Window.Start }}`:                "2026-07-01T09:55:00Z",
		`{{ .Window.End | truncate "1h" | unixms }}`:       "1782900000000",
		`{{ truncate "1d" (before "1h" .Now) }}`:           "2026-07-01T00:00:00Z",
		`{{ date "Mon 02" (truncate "1w" .Now) }}`:         "Mon 29",
		`{"since": {{ unix .Window.Start -}} }`:            `{"since": 1782899940}`,
	} {
		tmpl, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := tmpl.Execute(tickAt()); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestDatesOfDays checks that dates are in the tick's zone, and other times in UTC.
func TestDatesOfDays(t *testing.T) {
	tick := tickAt()
	tick.Zone = time.FixedZone("NZST", 12*60*60+30*60)
	for text, want := range map[string]string{
		`{{ date "2006-01-02" .Window.Start }}`: "2026-07-01",
		`{{ date "15:04" .Window.Start }}`:      "22:29",
		`{{ date "2006-01-02" .Now }}`:          "2026-07-01",
		"{{ rfc3339 .Window.Start }}":           "2026-07-01T09:59:00Z",
		"{{ .Window.Start }}":                   "2026-07-01T09:59:00Z",
		"{{ unix .Window.Start }}":              "1782899940",

		`{{ date "2006-01-02 15" (before "23h" .Now) }}`: "2026-06-30 23",
		`{{ truncate "1d" .Now }}`:                       "2026-06-30T11:30:00Z",
		`{{ date "15:04" (truncate "1h" .Now) }}`:        "22:30",
	} {
		tmpl, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Execute(tick); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestTemplateProblems(t *testing.T) {
	const noValue, noFunc = ": there are .Window.Start, .Window.End and .Now", ": there are rfc3339, unix, unixms, date, before and truncate"
	for text, want := range map[string]string{
		"{{ .Window.Begin }}":              "no value .Window.Begin" + noValue,
		"{{ .Window }}":                    "no value .Window" + noValue,
		"{{ .Now.Year }}":                  "no value .Now.Year" + noValue,
		"{{ . }}":                          ". is not allowed in a template" + noValue,
		"{{ 5 }}":                          "5 is not allowed in a template" + noValue,
		"{{ iso .Now }}":                   `function "iso" not defined` + noFunc,
		`{{ printf "%s" .Now }}`:           "no function printf" + noFunc,
		"{{ if .Now }}x{{ end }}":          "{{if .Now}}x{{end}} is not allowed in a template" + noValue,
		"{{ range .Now }}x{{ end }}":       "{{range .Now}}x{{end}} is not allowed in a template" + noValue,
		"{{ $x := .Now }}":                 "variables are not allowed in a template",
		"{{ (.Now).Year }}":                "(.Now).Year is not allowed in a template" + noValue,
		`{{ define "x" }}y{{ end }}`:       "a template is text with values in {{ }}: no define or block",
		`{{ template "x" }}`:               `{{template "x"}} is not allowed in a template` + noValue,
		"{{ rfc3339 }}":                    "wrong number of args for rfc3339: want 1 got 0",
		`{{ rfc3339 "x" }}`:                "rfc3339: wants a time: .Window.Start, .Window.End or .Now",
		"{{ date .Now }}":                  "wrong number of args for date: want 2 got 1",
		`{{ before "soon" .Now }}`:         "before: want a duration such as 30s, 5m, 1h or 7d",
		`{{ before "1h" "x" }}`:            "before: wants a time: .Window.Start, .Window.End or .Now",
		`{{ truncate "0s" .Now }}`:         "truncate: want more than 0",
		`{{ truncate "1x" .Now }}`:         "truncate: want a duration such as 30s, 5m, 1h or 7d",
		"{{ before .Now }}":                "wrong number of args for before: want 2 got 1",
		"{{ .Now":                          "unclosed action",
		strings.Repeat("x", maxTemplate+1): "gives more than 64 KiB",
		strings.Repeat("{{.Now}}", 4000):   "gives more than 64 KiB",
	} {
		_, err := Parse(text)
		if err == nil || err.Error() != want {
			t.Errorf("%.60s: got  %v\nwant %s", text, err, want)
		}
	}
}

func TestVaries(t *testing.T) {
	for text, want := range map[string]bool{
		"{{ .Window.Start }}": true, "{{ rfc3339 .Now }}": true, `{{ date "2006" (before "1h" .Window.End) }}`: true,
		`{{ date "05" .Window.End }}`: true, "today": false, "": false, `{{ date "text" .Now }}`: false, "{{": false,
	} {
		parsed, err := Parse(text)
		if varies := err == nil && parsed.Varies(); varies != want {
			t.Errorf("%q varies: %v", text, !want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{{ rfc3339 .Window.Start }}", `{{ date "2006" .Now }}`, "{{ .Now | unix }}", "{{/* */}}", "{{ (unix .Now) }}",
		`{{ date (date "2006" .Now) .Now }}`, `{{ before "300d" (before "1w" .Now) | unixms }}`, "{{ nil }}", "{{ true }}", "{{ $ }}", "{{- .Now -}}", `{{ "x" }}`, "{{ 'x' }}", "{{break}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := Parse(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") && !strings.Contains(text, "\n") {
				t.Errorf("%q: an error of more than one line: %v", text, err)
			}
			return
		}
		// A template that Parse accepts does not fail at any tick.
		for _, tick := range []sources.Tick{tickAt(), {}} {
			got, err := tmpl.Execute(tick)
			if err != nil && err != errTooLong || len(got) > maxTemplate {
				t.Errorf("%q: %d bytes, %v", text, len(got), err)
			}
			if !strings.Contains(text, "{{") && got != text {
				t.Errorf("%q became %q", text, got)
			}
		}
	})
}
