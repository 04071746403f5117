package jq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestTimes checks the timestamp of a value, or the reason why it has none.
func TestTimes(t *testing.T) {
	const day = "2026-11-22T"
	for _, c := range []struct{ settings, item, want string }{
		{"", `"2026-11-22T18:39:00Z"`, day + "18:39:00Z"},
		{"", `"2026-11-22T18:39:00.1239+01:00"`, day + "17:39:00.123Z"},
		{"", `1795372740`, day + "18:39:00Z"},
		{"", `1795372740.25`, day + "18:39:00.25Z"},
		{"", `"1795372740"`, day + "18:39:00Z"},
		{"", `1795372740000`, "not_a_time: time .at: 1795372740000 is not a time in Unix seconds: for milliseconds set time_format: unix_ms"},
		{"", `0`, "missing: time .at is 0, which means never"},
		{"time_format: unix_ms", `"0"`, `missing: time .at is "0", which means never`},
		{"", `""`, `missing: time .at is "", which means never`},
		{"", `"0001-01-01T00:00:00Z"`, `missing: time .at is "0001-01-01T00:00:00Z", which means never`},
		{"time_format: 2006-01-02 15:04:05", `"0000-00-00 00:00:00"`, `missing: time .at is "0000-00-00 00:00:00", which means never`},
		{"", `false`, "not_a_time: time .at: want a time, got false"},
		{"", `-5`, "not_a_time: time .at: -5 is not a time"},
		{"", `"1969-12-31T23:59:59Z"`, "not_a_time: time .at: 1969-12-31T23:59:59Z is not a time in a year from 1970 to 9999"},
		{"", `"22.11.2026"`, `not_a_time: time .at: "22.11.2026" is neither an RFC 3339 time, such as 2006-01-02T15:04:05Z, nor Unix seconds: set time_format to its layout`},
		{"", `true`, "not_a_time: time .at: want a time, got true"},
		{"", `[1]`, "not_a_time: time .at: want a time, got [1]"},
		{"", `null`, "missing: time .at is missing"},
		{"missing: zero", `null`, "missing: time .at is missing"},
		{"time_format: unix_ms", `1795372740123`, day + "18:39:00.123Z"},
		{"time_format: unix_ms", `"2026-11-22T18:39:00Z"`, `not_a_time: time .at: want Unix milliseconds, got "2026-11-22T18:39:00Z"`},
		{"time_format: 02.01.2006 15:04", `"22.11.2026 18:39"`, day + "18:39:00Z"},
		{"time_format: 02.01.2006 15:04\ntime_zone: Europe/Oslo", `"22.11.2026 18:39"`, day + "17:39:00Z"},
		{"time_format: 02.01.2006 15:04 -0700", `"22.11.2026 18:39 +0100"`, day + "17:39:00Z"},
		{"time_format: 2006-01-02", `"22.11.2026"`, `not_a_time: time .at: "22.11.2026" does not match the time_format "2006-01-02"`},
		{`time_format: "20060102"`, `20261122`, day + "00:00:00Z"},
	} {
		config := "m:\n  type: gauge\n  value: 1\n  time: .at\n  " + strings.ReplaceAll(c.settings, "\n", "\n  ")
		readings, err := sourceOf(t, config, `{"at": `+c.item+`}`).Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(readings[0].Drops)
		if rows := readings[0].Rows; len(rows) == 1 {
			got = time.UnixMilli(rows[0].Time).UTC().Format(time.RFC3339Nano)
		} else if d := readings[0].Drops; len(d) == 1 {
			got = fmt.Sprintf("%s: %s", d[0].Reason, d[0].First)
		}
		if got != c.want && !(strings.Contains(c.want, ": ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%q with %q is %s, want %s", c.item, c.settings, got, c.want)
		}
	}
}

// TestTimesOfTheWindow checks timestamps that are computed from the tick's window.
func TestTimesOfTheWindow(t *testing.T) {
	end := time.Unix(1795372740, 250e6)
	tick := sources.Tick{Time: end.Add(time.Hour), Start: end.Add(-time.Minute), End: end}
	for text, want := range map[string]time.Time{
		"$end": end, "$start": tick.Start, "$end - 10": end.Add(-10 * time.Second), ".ago as $n | $start - $n": tick.Start.Add(-5 * time.Second),
	} {
		config := "m: {type: gauge, value: .n, time: '" + text + "'}"
		readings, err := sourceOf(t, config, `{"n": 3, "ago": 5}`).Collect(t.Context(), tick)
		if err != nil {
			t.Fatal(err)
		}
		rows := readings[0].Rows
		if len(rows) != 1 || rows[0].Value != 3 || rows[0].Time != want.UnixMilli() {
			t.Errorf("%s: %+v, want one at %d", text, readings[0], want.UnixMilli())
		}
	}
}

// TestFingerprintHasTheTime checks that metrics with different timestamps have different fingerprints. The fingerprint of a metric without
// a timestamp must stay the same as in saved states.
func TestFingerprintHasTheTime(t *testing.T) {
	const plain = "m: {type: gauge, value: .n"
	seen := map[string]string{}
	for _, more := range []string{
		"", ", time: .at", ", time: .on", ", time: .at, time_format: unix_ms",
		", time: .at, time_format: '2006-01-02'", ", time: .at, time_format: '2006-01-02', time_zone: Europe/Oslo",
	} {
		how := configOf(t, plain+more+"}").Declares()[0].How
		if other, known := seen[how]; known {
			t.Errorf("%q is computed as %q is: %s", more, other, how)
		}
		seen[how] = more
	}
	if how := configOf(t, plain+"}").Declares()[0].How; how != "- .n -" {
		t.Errorf("what was saved before has another way to be computed than %q", how)
	}
}

// FuzzTime checks that any time from an API is either refused or in the range that a sample's timestamp can have.
func FuzzTime(f *testing.F) {
	for _, seed := range []string{"2026-11-22T18:39:00Z", "1e400", "-0", "0x1p-2", "9999-12-31T23:59:59.9999999Z", "253402300799.9999", "NaN"} {
		f.Add(seed, "")
		f.Add(seed, "02.01.2006 15:04 -07")
		f.Add(seed, unixMilli)
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		var m Metric
		if m.TimeFormat.UnmarshalText([]byte(format)) != nil {
			return
		}
		at, err := m.readTime(textValue(text))
		if err == nil && (at < 1 || at > maxTime) {
			t.Fatalf("%q in %q is %d", text, format, at)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 400) {
			t.Fatalf("%q in %q: %v", text, format, err)
		}
	})
}
