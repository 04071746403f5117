package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestJitterIsStable(t *testing.T) {
	// These values are a promise: a new release must not move every job of a fleet.
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
		t.Error("the border between two parts makes no difference")
	}
	if Jitter(time.Hour) == Jitter(time.Hour, "") {
		t.Error("an empty part makes no difference")
	}
}

// TestJitterSpreads counts names that differ in little, as those of jobs and hosts do.
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

func TestLocation(t *testing.T) {
	for name, want := range map[string]string{
		"": "Local", "Local": "Local", "UTC": "UTC", "Europe/Oslo": "Europe/Oslo", "Etc/GMT-2": "Etc/GMT-2",
	} {
		if loc, err := Location(name); err != nil || loc.String() != want {
			t.Errorf("Location(%q) = %v, %v", name, loc, err)
		}
	}
	if loc, _ := Location(""); loc != time.Local {
		t.Error(`Location("") is not the host's zone`)
	}
}

func TestLocationRefuses(t *testing.T) {
	const want = `; want a name such as "Europe/Oslo", or "UTC", or "Local" for the host's own`
	const data = `; if the name is right, install the host's zone data (tzdata)`
	for name, text := range map[string]string{
		"Europe/Olso":             `timezone "Europe/Olso" is not known` + want + data,
		"+02:00":                  `timezone "+02:00" is not known` + want + data,
		"../../etc/passwd":        `timezone "../../etc/passwd" is not known` + want + data,
		"/etc/localtime":          `timezone "/etc/localtime" is not known` + want + data,
		"a\nb":                    `timezone "a\nb" is not known` + want + data,
		"utc":                     `timezone "utc" is written with other capitals` + want,
		"local":                   `timezone "local" is written with other capitals` + want,
		strings.Repeat("A/", 200): `timezone "` + strings.Repeat("A/", 16) + `"… is 400 bytes long` + want,
	} {
		if loc, err := Location(name); err == nil || err.Error() != text {
			t.Errorf("Location(%q) = %v, %v\nwant %s", name, loc, err, text)
		}
	}
}
