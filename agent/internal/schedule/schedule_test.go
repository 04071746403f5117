package schedule

import (
	"bufio"
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

// TestNextTable runs the dates of testdata/next.txt, which says how its rows are written.
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

func BenchmarkNext(b *testing.B) {
	s := mustParse(b, "*/5 * * * *", "Europe/Oslo")
	now := time.Date(2024, 3, 31, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		s.Next(now)
	}
}
