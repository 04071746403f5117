package jq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestLocalTimesOfTheHourThatComesTwice reads lists of local times in Zürich, where 02:00 to 03:00 of 27 October 2024 came
// twice: from 00:00Z and from 01:00Z.
func TestLocalTimesOfTheHourThatComesTwice(t *testing.T) {
	const config = `m: {type: gauge, items: '.[]', value: '1', time: .t, time_format: "2006-01-02 15:04", time_zone: Europe/Zurich, labels: {n: .n}}`
	for name, test := range map[string]struct{ tick, times, want string }{
		"one, just now in the first hour":      {"00:35", "02:30", "00:30"},
		"one, just now in the second hour":     {"01:35", "02:30", "01:30"},
		"one, by a clock that is a bit ahead":  {"01:30", "02:31", "01:31"},
		"a day's list":                         {"20:00", "01:00 02:00 02:00 03:00", "23:00 00:00 01:00 02:00"},
		"a day's list, the last first":         {"20:00", "03:00 02:00 02:00 01:00", "02:00 01:00 00:00 23:00"},
		"quarters of hours":                    {"20:00", "01:45 02:00 02:30 02:00 02:30 03:00", "23:45 00:00 00:30 01:00 01:30 02:00"},
		"quarters of hours, the last first":    {"20:00", "03:00 02:30 02:00 02:30 02:00 01:45", "02:00 01:30 01:00 00:30 00:00 23:45"},
		"a list that ends in the first hour":   {"00:31", "01:45 02:00 02:30", "23:45 00:00 00:30"},
		"a list that ends in the second hour":  {"01:31", "02:30 02:00 02:30", "00:30 01:00 01:30"},
		"a list that begins in the first hour": {"20:00", "02:30 02:00 03:00", "00:30 01:00 02:00"},
		"the last two of the second hour":      {"01:31", "02:15 02:30", "01:15 01:30"},
		"the hour once":                        {"20:00", "01:00 02:00 03:00", "23:00 00:00 02:00"},
		"not in order":                         {"20:00", "02:00 05:00 02:00 01:00 02:30 02:15 02:30 02:15", ""},
		"other times":                          {"20:00", "01:59 03:00", "23:59 02:00"},
	} {
		var doc []string
		for _, at := range strings.Fields(test.times) {
			for _, n := range []string{"a", "b"} { // two series in turn
				doc = append(doc, fmt.Sprintf(`{"n": %q, "t": "2024-10-27 %s"}`, n, at))
			}
		}
		tick, err := time.Parse("2006-01-02 15:04", "2024-10-27 "+test.tick)
		if err != nil {
			t.Fatal(err)
		}
		readings, err := sourceOf(t, config, "["+strings.Join(doc, ",")+"]").Collect(t.Context(), sources.Tick{Time: tick, Start: tick, End: tick})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		seen := map[string]bool{}
		for _, r := range readings[0].Rows {
			at := time.UnixMilli(r.Time).UTC().Format("15:04")
			if r.Labels[0] == "a" {
				got = append(got, at)
			}
			if seen[r.Labels[0]+at] {
				t.Errorf("%s: two readings at %s", name, at)
			}
			seen[r.Labels[0]+at] = true
		}
		if all := strings.Join(got, " "); test.want != "" && all != test.want || len(readings[0].Rows) != len(doc) {
			t.Errorf("%s: %s at %s are %s, want %s", name, test.times, test.tick, all, test.want)
		}
	}
}

// TestTwice checks hours before and after changes of the clock, in both hemispheres, and with a change of only half an hour.
func TestTwice(t *testing.T) {
	for text, want := range map[string]string{
		"Europe/Zurich 2024-10-27 01:59:59":       "2024-10-26T23:59:59Z",
		"Europe/Zurich 2024-10-27 02:00:00":       "2024-10-27T00:00:00Z 2024-10-27T01:00:00Z",
		"Europe/Zurich 2024-10-27 02:59:59":       "2024-10-27T00:59:59Z 2024-10-27T01:59:59Z",
		"Europe/Zurich 2024-10-27 03:00:00":       "2024-10-27T02:00:00Z",
		"Europe/Zurich 2024-03-31 03:00:00":       "2024-03-31T01:00:00Z",
		"America/New_York 2024-11-03 01:30:00":    "2024-11-03T05:30:00Z 2024-11-03T06:30:00Z",
		"Australia/Lord_Howe 2024-04-07 01:45:00": "2024-04-06T14:45:00Z 2024-04-06T15:15:00Z",
		"Australia/Lord_Howe 2024-04-07 01:15:00": "2024-04-06T14:15:00Z",
		"UTC 2024-10-27 02:30:00":                 "2024-10-27T02:30:00Z",
	} {
		zone, at, _ := strings.Cut(text, " ")
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		local, err := time.ParseInLocation(time.DateTime, at, location)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []time.Time{local} {
			first, second, twice := sources.Twice(in)
			got := first.UTC().Format(time.RFC3339)
			if twice {
				got += " " + second.UTC().Format(time.RFC3339)
			}
			if got != want {
				t.Errorf("%s is %s, want %s", text, got, want)
			}
			if _, again, _ := sources.Twice(second); !again.Equal(second) {
				t.Errorf("%s: of the second time, the second is %s", text, again)
			}
		}
	}
}
