package jq

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTimestamp(t *testing.T) {
	for text, want := range map[string]any{
		`"2026-03-01T12:00:00Z"`:                     1772366400.0,
		`"2026-03-01t12:00:00z"`:                     1772366400.0,
		`"2026-03-01T12:00:00.5Z"`:                   1772366400.5,
		`"2026-03-01T12:00:00.123456789Z"`:           1772366400 + .123456789,
		`"2026-03-01T14:00:00+02:00"`:                1772366400.0,
		`"2026-03-01T14:00:00.250+0200"`:             1772366400.25,
		`"2026-03-01 06:30:00.000-0530"`:             1772366400.0,
		`"2026-03-01 14:00:00+02"`:                   1772366400.0,
		`"2026-03-01 14:00:00 +0200"`:                1772366400.0,
		`"2026-03-01 12:00:00Z"`:                     1772366400.0,
		`"1969-12-31T23:59:59.5Z"`:                   -0.5,
		`null`:                                       nil,
		`""`:                                         nil,
		`0`:                                          nil,
		`0.0`:                                        nil,
		`"0001-01-01T00:00:00Z"`:                     nil,
		`"0001-01-01T00:00:00.000+01:00"`:            nil,
		`"0000-00-00 00:00:00"`:                      nil,
		`["2026-03-01T12:00:01Z" | timestamp, 1][0]`: 1772366401.0,
		`def timestamp: 3; "x"`:                      3,

		`"yesterday"`:                   `"yesterday" is not a time such as`,
		`"2026-03-01"`:                  `"2026-03-01" is a date without a time; for the start of the day in UTC write . + "T00:00:00Z" | timestamp`,
		`"2026-03-01T12:00:00.5"`:       `"2026-03-01T12:00:00.5" has no offset from UTC; if it is in UTC write . + "Z" | timestamp`,
		`"2026-03-01 12:00:00"`:         `has no offset from UTC`,
		`"2026-03-01T12:00Z"`:           "is not a time",
		`"2026-03-01T12:00:00.Z"`:       "is not a time",
		`"2026-02-30T12:00:00Z"`:        "is not a time",
		`"2026-13-01"`:                  "is not a time",
		`"2026-03-01T24:00:00Z"`:        "is not a time",
		`"2026-03-01T12:00:60Z"`:        "is not a time",
		`"2026-03-01T1:00:00Z"`:         "is not a time",
		`"2026-03-01T12:00:00,5Z"`:      "is not a time",
		`"2026-03-01T12:00:00+25:00"`:   "is not a time",
		`"2026-03-01T12:00:00+0260"`:    "is not a time",
		`"2026-03-01T12:00:00+2"`:       "is not a time",
		`"2026-03-01x12:00:00Z"`:        "is not a time",
		`" 2026-03-01T12:00:00Z"`:       "is not a time",
		`"2026-03-01T12:00:00Z" * 1000`: "is not a time",
		`17`:                            "timestamp: want a string such as 2026-03-01T12:00:00Z, got 17",
		`{a: 1}`:                        `got {"a":1}`,
	} {
		for name, compile := range map[string]func(string) (string, any){
			"Compile": func(text string) (string, any) {
				_, code, err := Compile(text)
				if err != nil {
					return err.Error(), nil
				}
				return shown(code.One(t.Context(), nil))
			},
			"CompileAt": func(text string) (string, any) {
				_, code, err := CompileAt(text)
				if err != nil {
					return err.Error(), nil
				}
				return shown(code.One(t.Context(), nil, 0.0))
			},
		} {
			whole := text + " | timestamp"
			if strings.Contains(text, "][") {
				whole = text
			}
			shown, got := compile(whole)
			part, isText := want.(string)
			if isText && !strings.Contains(shown, part) || !isText && got != want {
				t.Errorf("%s of %s: got %v, want %v", name, text, shown, want)
			}
		}
	}
}

// FuzzParseTime checks that a parsed time is the same after formatting and parsing it again. If package time can parse the text too, both
// results must be the same.
func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2026-03-01T12:00:00Z", "2026-03-01 12:00:00.5 -0730", "2026-03-01T12:00:00+02", "2026-03-01", "2026-03-01T12:00:00.", "2026-03-01T12:00:00.0000000019Z", "0000-02-29T23:59:59z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if want, err := time.Parse(time.RFC3339, text); err == nil && !got.Equal(want) {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
		again, err := ParseTime(got.Format(time.RFC3339Nano))
		if year := got.Year(); year >= 0 && year <= 9999 && (err != nil || !again.Equal(got)) {
			t.Errorf("%q is %s, and that is %s, %v", text, got, again, err)
		}
	})
}

// TestParseTimeReadsWhatGoReads checks that ParseTime returns the same as package time for times in RFC 3339.
func TestParseTimeReadsWhatGoReads(t *testing.T) {
	at := time.Date(1583, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 20_000 {
		at = at.Add(time.Duration(i) * 1_234_567_891_011 % (400 * 24 * time.Hour))
		zone := time.FixedZone("", (i%47-23)*30*60)
		text := at.In(zone).Format(time.RFC3339Nano)
		if got, err := ParseTime(text); err != nil || !got.Equal(at) {
			t.Fatalf("%s: got %s, %v", text, got, err)
		}
	}
}

func BenchmarkParseTime(b *testing.B) {
	for b.Loop() {
		if _, err := ParseTime("2026-03-01T12:00:00.123+0100"); err != nil {
			b.Fatal(err)
		}
	}
}

// shown returns two results. If there is an error, they are the error's text and the error. Otherwise they are the value's text and the
// value.
func shown(v any, err error) (string, any) {
	if err != nil {
		return err.Error(), err
	}
	return fmt.Sprint(v), v
}
