package schedule

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// The oracle goes through real time step by step and remembers every local time it has seen. It does not use zone periods, offsets or the
// cron library. If the hour field of a schedule has every hour, the job runs whenever the schedule matches local time. For other schedules,
// the rules of the oracle are:
//
//   - At each step, the job runs if the schedule matches local time and this local time was not seen before.
//   - If local time has just jumped forward, the skipped local times are treated in the same way at this step. The job runs only once.

// randomSchedule is a schedule as text and as the values of each field.
type randomSchedule struct {
	values [6]map[int]bool
	stars  bool // one of the two day fields is *
	text   string
}

// randomField returns the text of one field and its values.
func randomField(r *rand.Rand, low, high int, starShare float64) (string, map[int]bool) {
	set := map[int]bool{}
	add := func(from, to, step int) {
		for v := from; v <= to; v += step {
			set[v] = true
		}
	}
	if r.Float64() < starShare {
		add(low, high, 1)
		return "*", set
	}
	pick := func() int { return low + r.Intn(high-low+1) }
	var items []string
	for range 1 + r.Intn(2) {
		switch a, b := pick(), pick(); r.Intn(4) {
		case 0:
			step := 2 + r.Intn((high-low)/2)
			add(low, high, step)
			items = append(items, fmt.Sprintf("*/%d", step))
		case 1:
			a, b = min(a, b), max(a, b)
			step := 1 + r.Intn(5)
			add(a, b, step)
			items = append(items, fmt.Sprintf("%d-%d/%d", a, b, step))
		default:
			add(a, a, 1)
			items = append(items, fmt.Sprint(a))
		}
	}
	return strings.Join(items, ","), set
}

func newRandomSchedule(r *rand.Rand, withSeconds bool) randomSchedule {
	var w randomSchedule
	var texts [6]string
	for i, b := range [6][3]int{{0, 59, 10}, {0, 59, 30}, {0, 23, 35}, {1, 31, 80}, {1, 12, 95}, {0, 6, 80}} {
		low, high := b[0], b[1]
		if i == 2 && r.Intn(2) == 0 {
			high = 3 // the hours at which clocks jump
		}
		texts[i], w.values[i] = randomField(r, low, high, float64(b[2])/100)
		if i == 2 && high == 3 && strings.Contains(texts[i], "*") {
			// * would be all hours.
			texts[i], w.values[i] = "0-3", map[int]bool{0: true, 1: true, 2: true, 3: true}
		}
	}
	w.stars = texts[3] == "*" || texts[5] == "*"
	if withSeconds {
		w.text = strings.Join(texts[:], " ")
	} else {
		w.values[0] = map[int]bool{0: true}
		w.text = strings.Join(texts[1:], " ")
	}
	return w
}

// matches reports whether the schedule matches a local time, given as UTC.
func (w randomSchedule) matches(c time.Time) bool {
	v := &w.values
	if !v[0][c.Second()] || !v[1][c.Minute()] || !v[2][c.Hour()] || !v[4][int(c.Month())] {
		return false
	}
	dom, dow := v[3][c.Day()], v[5][int(c.Weekday())]
	return dom && dow || (dom || dow) && !w.stars
}

// asUTC returns the local time of t as a time in UTC with the same digits.
func asUTC(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// runs returns the times t with from ≤ t < to at which the job runs. It remembers the local times seen since the time "early".
func (w randomSchedule) runs(loc *time.Location, early, from, to time.Time, step time.Duration) []time.Time {
	var due []time.Time
	everyHour := len(w.values[2]) == 24
	seen := map[int64]bool{}
	before := asUTC(early.In(loc)).Add(-step)
	for t := early; t.Before(to); t = t.Add(step) {
		now := asUTC(t.In(loc))
		run := false
		if everyHour {
			run = w.matches(now)
		} else {
			local := now
			if now.After(before.Add(step)) {
				local = before.Add(step)
			}
			for ; !local.After(now); local = local.Add(step) {
				if !seen[local.Unix()] && w.matches(local) {
					run = true
				}
				seen[local.Unix()] = true
			}
		}
		before = now
		if run && !t.Before(from) {
			due = append(due, t)
		}
	}
	return due
}

// jumps returns the hours of a year in which a zone's offset changes.
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

// compare compares a schedule with the oracle: all due times around a given time, and the results of Next at random times.
func compare(t *testing.T, r *rand.Rand, w randomSchedule, loc *time.Location, around time.Time, step, watch, half time.Duration) int {
	t.Helper()
	s, err := Parse(w.text, loc)
	if err != nil {
		if strings.Contains(err.Error(), "never due") {
			return 0
		}
		t.Fatal(err)
	}
	from, to := around.Add(-half), around.Add(half)
	want := w.runs(loc, from.Add(-watch), from, to, step)
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

// clip returns a few elements of the slice a, beginning with the first one that differs from the slice b.
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
			runs += compare(t, r, newRandomSchedule(r, false), loc, around, time.Minute, 30*time.Hour, 27*time.Hour)
			cases++
		}
	}
	if runs < 20*cases {
		t.Errorf("only %d due times in %d cases", runs, cases)
	}
}

// TestNextAgainstOracleBySecond includes jumps of local mean time, whose offsets have seconds.
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
		compare(t, r, newRandomSchedule(r, true), loc, found[r.Intn(len(found))], time.Second, 5*time.Hour, 4*time.Hour)
		cases++
	}
}

// TestNextOverLeapYearEnd covers the ends of leap years, where ZoneBounds is wrong (see periodAt).
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
			compare(t, r, newRandomSchedule(r, false), loc, around, time.Minute, 30*time.Hour, 27*time.Hour)
		}
	}
}
