package schedule

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// jumps finds the hours of a year in which a zone's offset changes.
func jumps(loc *time.Location, year int) []time.Time {
	var out []time.Time
	t := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	_, offset := t.In(loc).Zone()
	for ; t.Year() == year; t = t.Add(time.Hour) {
		_, now := t.In(loc).Zone()
		if now != offset {
			out = append(out, t)
		}
		offset = now
	}
	return out
}

// compare checks all due times of a window, and single ones from random instants in it.
func compare(t *testing.T, r *rand.Rand, w wish, loc *time.Location, around time.Time, step, watch, half time.Duration) int {
	t.Helper()
	s, err := Parse(w.text, loc)
	if err != nil {
		if strings.Contains(err.Error(), "never due") {
			return 0
		}
		t.Fatal(err)
	}
	from, to := around.Add(-half), around.Add(half)
	want := w.live(loc, from.Add(-watch), from, to, step)
	got := []time.Time{}
	for n := s.Next(from.Add(-1)); n.Before(to) && len(got) <= len(want); n = s.Next(n) {
		got = append(got, n)
	}
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Fatalf("%q in %v around %v:\n got %v\nwant %v", w.text, loc, around, clip(got, want), clip(want, got))
	}
	for range 5 {
		after := from.Add(time.Duration(r.Int63n(int64(2 * half))))
		i := slices.IndexFunc(want, after.Before)
		if next := s.Next(after); i >= 0 && !next.Equal(want[i]) || i < 0 && next.Before(to) {
			t.Fatalf("%q in %v after %v: got %v, want number %d of %v", w.text, loc, after, next, i, want)
		}
	}
	return len(want)
}

// clip returns the part of a that starts where it differs from b.
func clip(a, b []time.Time) []time.Time {
	i := 0
	for i < len(a) && i < len(b) && a[i].Equal(b[i]) {
		i++
	}
	return a[i:min(len(a), i+4)]
}

const modernZones = `Europe/Oslo Europe/London Europe/Dublin Europe/Moscow Europe/Istanbul Europe/Lisbon Europe/Volgograd
	America/New_York America/Sao_Paulo America/St_Johns America/Caracas America/Havana America/Santiago America/Asuncion
	America/Nuuk America/Scoresbysund America/Goose_Bay America/Juneau America/Metlakatla
	Asia/Beirut Asia/Gaza Asia/Tehran Asia/Amman Asia/Pyongyang Asia/Kathmandu Asia/Ulaanbaatar Asia/Dhaka
	Africa/Cairo Africa/Casablanca Africa/Juba Africa/Windhoek Antarctica/Troll Antarctica/Casey Antarctica/Vostok
	Australia/Lord_Howe Australia/Sydney Australia/Eucla Pacific/Apia Pacific/Fakaofo Pacific/Kwajalein Pacific/Kiritimati
	Pacific/Chatham Pacific/Easter Pacific/Fiji Pacific/Norfolk Pacific/Tongatapu`

func TestNextAgainstOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(42))
	zones := strings.Fields(modernZones)
	cases, runs := 0, 0
	for cases < 600 {
		loc, err := Location(zones[r.Intn(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		found := jumps(loc, 1973+r.Intn(72))
		if len(found) == 0 {
			continue
		}
		around := found[r.Intn(len(found))]
		for range 3 {
			runs += compare(t, r, randomWish(r, false), loc, around, time.Minute, 30*time.Hour, 27*time.Hour)
			cases++
		}
	}
	if runs < 20*cases {
		t.Errorf("only %d due times in %d cases", runs, cases)
	}
}

// TestNextAgainstOracleBySecond takes jumps of the days of local mean time too, whose offsets have odd seconds.
func TestNextAgainstOracleBySecond(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(43))
	zones := strings.Fields(modernZones + " Europe/Vienna Africa/Monrovia Asia/Kolkata Asia/Manila America/Anchorage")
	for cases := 0; cases < 60; {
		loc, err := Location(zones[r.Intn(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		found := jumps(loc, 1880+r.Intn(165))
		if len(found) == 0 {
			continue
		}
		compare(t, r, randomWish(r, true), loc, found[r.Intn(len(found))], time.Second, 5*time.Hour, 4*time.Hour)
		cases++
	}
}

// TestNextOverLeapYearEnd is for the years and the days at which ZoneBounds ends too early.
func TestNextOverLeapYearEnd(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(44))
	for _, name := range strings.Fields(modernZones) {
		loc, err := Location(name)
		if err != nil {
			t.Fatal(err)
		}
		around := time.Date(2040+4*r.Intn(15), 12, 31, 12, 0, 0, 0, time.UTC)
		for range 6 {
			compare(t, r, randomWish(r, false), loc, around, time.Minute, 30*time.Hour, 27*time.Hour)
		}
	}
}
