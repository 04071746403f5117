package schedule

import (
	"strings"
	"testing"
	"time"
)

// TestPeriodsAreWholeAndConstant walks each zone's periods, and looks for the offset inside them by another way.
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

// TestZonesWithoutJumps covers a zone whose one period has neither start nor end.
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

// TestReached pins the memory of the clock: the latest time shown, while an hour is repeated and after it.
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
