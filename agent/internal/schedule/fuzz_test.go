package schedule

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"*/5 * * * *", "0 0 29 2 *", "30 2 * * 7", "15 0-59/7 */2 1,15 jan-jun mon", "@every 1.5s", "@every 1h", "@weekly",
		"TZ=0", "TZ=", "CRON_TZ=UTC", "TZ=UTC * * * * *", "@", "@every", "@every ", ",", "*/0 * * * *", "0 0 0 , 0", "*-5 * * * *",
		"9223372036854775807/1 * * * *", "*/9223372036854775807 * * * *", "0 0 31 2 *", "-1 * * * *", "\xff * * * *", "@every 0x1s",
		"0-7 0-7 1-7 1-7 0-7", "? ? ? ? 0-7/7",
	} {
		f.Add(seed, int64(1711846800))
	}
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Europe/Oslo", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca"} {
		loc, err := Location(name)
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, loc)
	}
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		loc := zones[uint64(unix)%uint64(len(zones))]
		s, err := Parse(spec, loc)
		if err != nil {
			checkErrorText(t, spec, err.Error())
			return
		}
		now := time.Unix(unix%4e9, 500)
		for range 4 {
			next := s.Next(now)
			if !next.After(now) {
				t.Fatalf("%q in %v after %v is due at %v", spec, loc, now, next)
			}
			now = next
		}
		if s.Interval(now) <= 0 {
			t.Fatalf("%q has the interval %v", spec, s.Interval(now))
		}
	})
}

// checkErrorText looks at what was added to the text that was read.
func checkErrorText(t *testing.T, spec, text string) {
	t.Helper()
	for _, bad := range []string{"robfig", "strconv", "0x", "cron", "Cron", "time:", "cannot be read", "%!"} {
		if strings.Contains(text, bad) && !strings.Contains(strconv.Quote(spec), bad) {
			t.Errorf("the error of %q says %q: %s", spec, bad, text)
		}
	}
	for _, r := range text {
		if r < ' ' || r == '\u007f' {
			t.Errorf("the error of %q has the character %q", spec, r)
		}
	}
	if len(text) > 12*maxLen {
		t.Errorf("the error of %q is %d bytes long", spec, len(text))
	}
}
