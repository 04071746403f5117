package schedule

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

const stamp = "2006-01-02T15:04:05-07:00"

func mustParse(t testing.TB, spec, zone string) *Schedule {
	t.Helper()
	loc, err := Location(zone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(spec, loc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNextTable checks the due times in testdata/next.txt. The first lines of that file describe its format.
func TestNextTable(t *testing.T) {
	f, err := os.Open("testdata/next.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			t.Fatalf("row has %d cells, want 4: %s", len(cells), line)
		}
		rows++
		s := mustParse(t, strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]))
		now := at(t, strings.TrimSpace(cells[2]))
		var got []string
		want := strings.Fields(cells[3])
		for range want {
			now = s.Next(now)
			got = append(got, now.Format(stamp))
		}
		if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
			t.Errorf("%s\n got %s\nwant %s", line, g, w)
		}
	}
	if err := lines.Err(); err != nil || rows < 40 {
		t.Fatalf("read %d rows, error %v", rows, err)
	}
}

func TestNextReturnsTheZoneOfTheSchedule(t *testing.T) {
	for _, spec := range []string{"0 9 * * *", "@every 90s"} {
		s := mustParse(t, spec, "Asia/Tokyo")
		if got := s.Next(at(t, "2024-01-01T00:00:00Z")).Location().String(); got != "Asia/Tokyo" {
			t.Errorf("%s: location %s", spec, got)
		}
	}
}

func TestNextTakesAnyInstant(t *testing.T) {
	s := mustParse(t, "0 0 0 * * *", "UTC")
	for _, after := range []time.Time{
		time.Time{}.Add(-time.Hour), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(1<<62, 0), time.Unix(-1<<62, 0),
	} {
		if got := s.Next(after); !got.IsZero() {
			t.Errorf("Next(%v) = %v, want the zero time", after, got)
		}
		if got := s.Interval(after); got != 0 {
			t.Errorf("Interval(%v) = %v, want 0", after, got)
		}
	}
	if got := s.Next(time.Time{}); !got.Equal(time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("Next of the zero time = %v", got)
	}
	if got := s.Interval(time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)); got != 0 {
		t.Errorf("Interval at the end = %v, want 0", got)
	}
	var zero Schedule
	if got := zero.Next(at(t, "2024-01-01T00:00:00Z")); !got.IsZero() {
		t.Errorf("the zero Schedule is due at %v", got)
	}
}

func TestEvery(t *testing.T) {
	s := mustParse(t, "@every 1m30.5s", "Europe/Oslo")
	if d, ok := s.Every(); !ok || d != 90500*time.Millisecond {
		t.Errorf("Every = %v, %v", d, ok)
	}
	after := at(t, "2024-03-31T01:59:00.25+01:00")
	if got := s.Next(after); got.Sub(after) != 90500*time.Millisecond {
		t.Errorf("Next is %v later", got.Sub(after))
	}
	if got := s.Interval(after); got != 90500*time.Millisecond {
		t.Errorf("Interval = %v", got)
	}
	if d, ok := mustParse(t, "@hourly", "").Every(); ok || d != 0 {
		t.Errorf("Every of @hourly = %v, %v", d, ok)
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct{ spec, zone, after, want string }{
		{"*/5 * * * *", "UTC", "2024-01-01T00:02:00Z", "5m"},
		{"*/25 * * * *", "UTC", "2024-01-01T00:26:00Z", "10m"},
		{"0 9 * * mon-fri", "UTC", "2024-01-04T08:00:00Z", "24h"}, // a Thursday
		{"0 9 * * mon-fri", "UTC", "2024-01-05T08:00:00Z", "72h"}, // over the weekend
		{"30 2 * * *", "Europe/Oslo", "2024-03-30T00:00:00Z", "23h30m"},
		{"0 0 29 2 *", "UTC", "2096-02-01T00:00:00Z", "70104h"}, // eight years
	} {
		want, _ := time.ParseDuration(c.want)
		if got := mustParse(t, c.spec, c.zone).Interval(at(t, c.after)); got != want {
			t.Errorf("%s in %s after %s: %v, want %v", c.spec, c.zone, c.after, got, want)
		}
	}
}

// TestPeriodsAreWholeAndConstant checks that the periods of a zone follow each other without gaps and have one offset each.
func TestPeriodsAreWholeAndConstant(t *testing.T) {
	begin := time.Date(1880, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	finish := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for _, name := range strings.Fields(modernZones) {
		loc, err := Location(name)
		if err != nil {
			t.Fatal(err)
		}
		offset := func(unix int64) int64 {
			_, o := time.Unix(unix, 0).In(loc).Zone()
			return int64(o)
		}
		p := periodAt(loc, begin)
		for p.end < finish {
			if p.end <= p.start {
				t.Fatalf("%s: the period %+v does not end", name, p)
			}
			for probe := max(p.start, begin); probe < p.end; probe += 13 * 60 * 60 {
				if offset(probe) != p.shift {
					t.Fatalf("%s: offset %d at %d, in the period %+v", name, offset(probe), probe, p)
				}
			}
			if offset(p.end-1) != p.shift {
				t.Fatalf("%s: offset %d at the end of the period %+v", name, offset(p.end-1), p)
			}
			n := p.next(loc)
			if n.start != p.end || n.shift != offset(p.end) {
				t.Fatalf("%s: %+v follows %+v", name, n, p)
			}
			p = n
		}
	}
}

// TestZonesWithoutJumps covers zones with one period without start and end.
func TestZonesWithoutJumps(t *testing.T) {
	for _, loc := range []*time.Location{time.UTC, time.FixedZone("", -12*60*60), time.FixedZone("", 14*60*60)} {
		p := periodAt(loc, 0)
		if p.start != -far || p.end != far {
			t.Errorf("%v: %+v", loc, p)
		}
		for _, spec := range []string{"30 2 * * *", "30 * * * *"} {
			s, err := Parse(spec, loc)
			if err != nil {
				t.Fatal(err)
			}
			next := s.Next(time.Date(2024, 5, 5, 1, 59, 0, 0, loc))
			if want := time.Date(2024, 5, 5, 2, 30, 0, 0, loc); !next.Equal(want) {
				t.Errorf("%s in %v: %v, want %v", spec, loc, next, want)
			}
		}
	}
}

// TestReached checks the latest local time during a repeated hour and after it.
func TestReached(t *testing.T) {
	loc, err := Location("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ now, want string }{
		{"2024-10-27T02:59:59+02:00", "2024-10-27T02:59:59Z"},
		{"2024-10-27T02:00:00+01:00", "2024-10-27T02:59:59Z"},
		{"2024-10-27T02:59:59+01:00", "2024-10-27T02:59:59Z"},
		{"2024-10-27T03:00:00+01:00", "2024-10-27T03:00:00Z"},
		{"2024-03-31T01:59:59+01:00", "2024-03-31T01:59:59Z"},
		{"2024-03-31T03:00:00+02:00", "2024-03-31T03:00:00Z"},
	} {
		if got := reached(loc, at(t, c.now).Unix()); got != at(t, c.want).Unix() {
			t.Errorf("at %s: %s, want %s", c.now, time.Unix(got, 0).UTC().Format(time.RFC3339), c.want)
		}
	}
}

func TestJitterIsStable(t *testing.T) {
	// A new release must not change these values: that would move every job.
	for _, c := range []struct {
		max   time.Duration
		parts []string
		want  time.Duration
	}{
		{time.Minute, []string{"oncall", "host-1"}, 58261619820},
		{time.Minute, []string{"oncall", "host-2"}, 43610682855},
		{time.Hour, []string{"oncall"}, 2532442714000},
	} {
		for range 3 {
			if got := Jitter(c.max, c.parts...); got != c.want {
				t.Errorf("Jitter(%v, %q) = %d, want %d", c.max, c.parts, got, c.want)
			}
		}
	}
}

func TestJitterBounds(t *testing.T) {
	for _, max := range []time.Duration{-time.Second, 0, 1} {
		if got := Jitter(max, "a"); got != 0 {
			t.Errorf("Jitter(%d) = %d, want 0", max, got)
		}
	}
	if Jitter(time.Hour, "a", "bc") == Jitter(time.Hour, "ab", "c") {
		t.Error("the parts \"a\", \"bc\" and \"ab\", \"c\" have the same jitter")
	}
	if Jitter(time.Hour) == Jitter(time.Hour, "") {
		t.Error("no part and an empty part have the same jitter")
	}
}

// TestJitterSpreads checks the distribution for similar names, such as those of hosts.
func TestJitterSpreads(t *testing.T) {
	const n, bins = 10000, 20
	for _, max := range []time.Duration{7 * time.Millisecond, time.Second, time.Minute, time.Hour} {
		var counts [bins]int
		for i := range n {
			got := Jitter(max, "job", fmt.Sprintf("host-%d", i))
			if got < 0 || got >= max {
				t.Fatalf("Jitter(%v) = %v", max, got)
			}
			counts[int(got*bins/max)]++
		}
		for bin, count := range counts {
			if count < n/bins*3/4 || count > n/bins*5/4 {
				t.Errorf("max %v: %d of %d in part %d of %d", max, count, n, bin, bins)
			}
		}
	}
}

func BenchmarkNext(b *testing.B) {
	s := mustParse(b, "*/5 * * * *", "Europe/Oslo")
	now := time.Date(2024, 3, 31, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		s.Next(now)
	}
}

// TestLeapDayFarAway checks that 29 February is found over 2100, which is no leap year, from each year before it.
func TestLeapDayFarAway(t *testing.T) {
	s, err := Parse("0 0 29 2 *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for year := 2096; year < 2104; year++ {
		from := time.Date(year, time.March, 1, 0, 0, 0, 0, time.UTC)
		if got, want := s.Next(from), time.Date(2104, time.February, 29, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("after %s: %s, want %s", from, got, want)
		}
	}
}
