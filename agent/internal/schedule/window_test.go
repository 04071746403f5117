package schedule

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestWindowsTile checks windows of random lengths, in random zones and with random pauses. Consecutive windows have no gap and no
// overlap. No window is read before it has settled. Windows of whole days end at midnight.
func TestWindowsTile(t *testing.T) {
	for seed := range uint64(80) {
		dice := rand.New(rand.NewPCG(seed, 0))
		zone := []string{"UTC", "Europe/Oslo", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Beirut"}[dice.IntN(6)]
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		length := []time.Duration{time.Second, 7 * time.Second, 5 * time.Minute, time.Hour, day, 2 * day, 7 * day, 30 * day}[dice.IntN(8)]
		w := NewWindows(length, loc)
		w.Settle, w.MaxCatchUp = time.Duration(dice.Int64N(int64(2*length))), 400*day
		now := time.Date(1990+dice.IntN(35), time.Month(1+dice.IntN(12)), 1+dice.IntN(28), dice.IntN(24), dice.IntN(60), 0, dice.IntN(1e9), loc)
		if dice.IntN(3) == 0 {
			now = time.Date(2011, 12, 20, 0, 0, 0, 0, loc) // Apia skipped 30 December of that year
		}
		first, ok := w.Next(time.Time{}, now)
		if !ok || !first.End.Equal(w.Closed(now)) || first.End.Add(w.Settle).After(now) || !first.End.Add(length+w.Settle+2*day).After(now) {
			t.Fatalf("seed %d, %s, %s: at %s the first is %+v, %t", seed, zone, length, now, first, ok)
		}
		read := first.End
		for range 30 {
			now = now.Add(time.Duration(dice.Int64N(int64(3 * length))))
			for {
				next, due := w.Next(read, now)
				if !due {
					break
				}
				if !next.Start.Equal(read) || !next.End.After(read) || next.End.Add(w.Settle).After(now) || next.Skipped > 0 {
					t.Fatalf("seed %d, %s, %s: at %s, read up to %s, the next is %+v", seed, zone, length, now, read, next)
				}
				if local := next.End.In(loc); w.OfDays() && local.Add(-1).YearDay() == local.YearDay() {
					t.Fatalf("seed %d, %s: a window ends at %s", seed, zone, local)
				}
				read = next.End
			}
			if ready := w.Ready(read); !ready.After(now) {
				t.Fatalf("seed %d, %s, %s: at %s, read up to %s, the next is ready at %s", seed, zone, length, now, read, ready)
			}
		}
	}
}

// TestClosedIsTheLastEnd checks that a window is closed from its end on and not before, around jumps of the clock.
func TestClosedIsTheLastEnd(t *testing.T) {
	for _, c := range []struct{ zone, from string }{
		{"Europe/Oslo", "2024-10-20T00:00:00Z"},
		{"Europe/Oslo", "2024-03-25T00:00:00Z"},
		{"Asia/Beirut", "2024-10-20T00:00:00Z"},
		{"Australia/Lord_Howe", "2024-04-01T00:00:00Z"},
		{"Pacific/Apia", "2011-12-25T00:00:00Z"},
	} {
		loc, err := Location(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []time.Duration{5 * time.Minute, day, 2 * day, 7 * day} {
			w := NewWindows(length, loc)
			now := at(t, c.from)
			for range 24 * 24 {
				closed := w.Closed(now)
				if end := w.End(closed); closed.After(now) || !end.After(now) {
					t.Fatalf("%s, %s: at %s the last window ends at %s, the next at %s", c.zone, length, now.In(loc), closed.In(loc), end.In(loc))
				}
				now = now.Add(30 * time.Minute)
			}
		}
	}
}

func TestWindows(t *testing.T) {
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		name       string
		length     time.Duration
		catchUp    time.Duration
		read, now  string
		start, end string // "" = none
		skipped    int
	}{
		{"first", 5 * time.Minute, day, "", "2026-03-01T12:07:00Z", "2026-03-01T12:00:00Z", "2026-03-01T12:05:00Z", 0},
		{"not settled", 5 * time.Minute, day, "2026-03-01T12:05:00Z", "2026-03-01T12:11:59Z", "", "", 0},
		{"settled", 5 * time.Minute, day, "2026-03-01T12:05:00Z", "2026-03-01T12:12:00Z", "2026-03-01T12:05:00Z", "2026-03-01T12:10:00Z", 0},
		{"another length than before", time.Hour, day, "2026-03-01T12:35:00Z", "2026-03-01T15:00:00Z", "2026-03-01T12:35:00Z", "2026-03-01T13:00:00Z", 0},
		{"too far back", time.Hour, 3 * time.Hour, "2026-03-01T02:00:00Z", "2026-03-01T15:02:00Z", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", 10},
		{"too far back, between ends", time.Hour, 150 * time.Minute, "2026-03-01T12:10:00Z", "2026-03-01T15:02:00Z", "2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z", 1},
		{"no catching up", time.Hour, 0, "2026-03-01T02:00:00Z", "2026-03-01T15:02:00Z", "2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z", 12},
		{"no catching up, within the last", time.Hour, 0, "2026-03-01T14:20:00Z", "2026-03-01T15:02:00Z", "2026-03-01T14:20:00Z", "2026-03-01T15:00:00Z", 0},
		{"clock set back", time.Hour, 3 * time.Hour, "2026-03-01T18:00:00Z", "2026-03-01T15:02:00Z", "", "", 0},
		{"clock set back by much", time.Hour, 3 * time.Hour, "2036-03-01T18:00:00Z", "2026-03-01T15:02:00Z", "2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z", 0},
		{"a day of 23 hours", day, day, "", "2026-03-30T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 0},
		{"the last hour of a day of 25 hours", day, day, "", "2024-10-27T22:32:00Z", "2024-10-25T22:00:00Z", "2024-10-26T22:00:00Z", 0},
		{"a week from Monday", 7 * day, day, "", "2026-11-22T10:00:00Z", "2026-11-08T23:00:00Z", "2026-11-15T23:00:00Z", 0},
		{"skipped weeks", 7 * day, day, "2026-10-31T23:00:00Z", "2026-11-22T10:00:00Z", "2026-11-08T23:00:00Z", "2026-11-15T23:00:00Z", 2},
	} {
		w := NewWindows(c.length, oslo)
		w.Settle, w.MaxCatchUp = 2*time.Minute, c.catchUp
		got, due := w.Next(at(c.read), at(c.now))
		if due != (c.start != "") || due && (!got.Start.Equal(at(c.start)) || !got.End.Equal(at(c.end)) || got.Skipped != c.skipped) {
			t.Errorf("%s: got %+v, %t", c.name, got, due)
		}
	}
}

func TestLongestPause(t *testing.T) {
	for spec, want := range map[string]time.Duration{
		"@every 90s":    90 * time.Second,
		"*/5 * * * *":   day + 5*time.Minute,
		"0 9 * * 1-5":   81 * time.Hour,
		"@daily":        2 * day,
		"0 0 29 2 *":    1462 * day,
		"0 0 1 * *":     32 * day,
		"30 2 * * *":    day + 150*time.Minute,
		"0 0 * * 1":     8 * day,
		"0 12 25 12 * ": 365*day + 12*time.Hour,
	} {
		s, err := Parse(spec, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.LongestPause(); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}
