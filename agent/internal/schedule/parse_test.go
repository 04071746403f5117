package schedule

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseRefuses(t *testing.T) {
	const five = `; want five fields such as "*/5 * * * *", or "@every 60s"`
	const every = `; want a duration such as "@every 60s", "@every 5m" or "@every 1h30m"`
	for _, c := range []struct{ spec, want string }{
		{"", `it is empty` + five},
		{" \t", `it is empty` + five},
		{"* * * *", `want five fields (or six with seconds), got 4; for example "*/5 * * * *", or "@every 60s"`},
		{"* * * * * * *", `want five fields (or six with seconds), got 7; for example "*/5 * * * *", or "@every 60s"`},
		{"90s", `want five fields (or six with seconds), got 1; did you mean "@every 90s"?`},
		{"61 * * * *", `minute 61 is above 59` + five},
		{"60 * * * * *", `second 60 is above 59` + five},
		{"* 24 * * *", `hour 24 is above 23` + five},
		{"* * 0 * *", `day of month 0 is below 1` + five},
		{"* * 32 * *", `day of month 32 is above 31` + five},
		{"* * * 13 *", `month 13 is above 12` + five},
		{"* * * 0 *", `month 0 is below 1` + five},
		{"* * * * 8", `day of week 8 is above 7` + five},
		{"* * * * 1-8", `day of week 8 is above 7` + five},
		{"99999999999999999999 * * * *", `minute 99999999999999999999 is above 59` + five},
		{"1x * * * *", `minute "1x" is not a number` + five},
		{"+5 * * * *", `minute "+5" is not a number` + five},
		{"0x5 * * * *", `minute "0x5" is not a number` + five},
		{"** * * * *", `minute "**" is not a number` + five},
		{"-5 * * * *", `minute "-5" is neither a number nor a range such as 1-5` + five},
		{"5- * * * *", `minute "5-" is neither a number nor a range such as 1-5` + five},
		{"1-2-3 * * * *", `minute "1-2-3" is neither a number nor a range such as 1-5` + five},
		{"/5 * * * *", `minute "/5" is neither a number nor a range such as 1-5` + five},
		{"*-5 * * * *", `minute "*-5" has * in a range` + five},
		{"? ?-3 * * *", `hour "?-3" has ? in a range` + five},
		{"1,,2 * * * *", `minute "1,,2" has an empty element between commas` + five},
		{"0 0 1 , 0", `month "," has an empty element between commas` + five},
		{"* 22-2 * * *", `hour 22-2 is in reverse order; split it into 22-23,0-2` + five},
		{"* * * * fri-sun", `day of week fri-sun is in reverse order; split it into 5-6,0` + five},
		{"* * * dec-jan *", `month dec-jan is in reverse order; split it into 12,1` + five},
		{"*/0 * * * *", `minute step 0 is not allowed; the smallest is 1` + five},
		{"*/90 * * * *", `minute step 90 is above 60, the number of values of the field` + five},
		{"*/ * * * *", `minute step "" is not a number` + five},
		{"*/5/5 * * * *", `minute step "5/5" is not a number` + five},
		{"* * L * *", `day of month "L" is not a number` + five},
		{"* * * sept *", `month "sept" is neither a number nor one of jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec` + five},
		{"* * * n\u00a0f *", `the character '\u00a0' is not allowed` + five},
		{"* * * n-f *", `month "n" is neither a number nor one of jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec` + five},
		{"* * * * a\x00", `the character '\x00' is not allowed` + five},
		{"* * * * 1#2", `day of week "1#2" is neither a number nor one of sun, mon, tue, wed, thu, fri, sat` + five},
		{"“0 0 * * *”", `the character '“' is not allowed` + five},
		{"TZ=0", `it cannot have a time zone; use the setting timezone`},
		{" TZ=Europe/Oslo 0 0 * * *", `it cannot have a time zone; use the setting timezone`},
		{"CRON_TZ=UTC @daily", `it cannot have a time zone; use the setting timezone`},
		{"cron_tz=", `it cannot have a time zone; use the setting timezone`},
		{"@reboot", `"@reboot" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@daily 5", `"@daily 5" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@every60s", `"@every60s" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@every", `@every has 0 words after it, want one` + every},
		{"@every 1 h", `@every has 2 words after it, want one` + every},
		{"@every 1d", `"1d" is not a duration` + every},
		{"@every 60", `"60" is not a duration` + every},
		{"@every 999ms", `999ms is below the minimum of 1s` + every},
		{"@every -5m", `-5m is below the minimum of 1s` + every},
		{"@every 1.0005s", `1.0005s is not a whole number of milliseconds` + every},
		{"@every 50000h", `50000h is above the maximum of five years` + every},
		{"@every 9999999h", `"9999999h" is not a duration` + every},
		{"0 0 31 2 *", `it is never due: no such month has such a day; change the day of month or the month`},
		{"0 0 31 4,6,9,11 *", `it is never due: no such month has such a day; change the day of month or the month`},
	} {
		s, err := Parse(c.spec, time.UTC)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want the error %s", c.spec, s, c.want)
			continue
		}
		_, got, _ := strings.Cut(err.Error(), `": `)
		if got != c.want {
			t.Errorf("Parse(%q)\n got %s\nwant %s", c.spec, got, c.want)
		}
	}
}

func TestParseErrorNamesTheSchedule(t *testing.T) {
	const want = `schedule "61 * * * *": minute 61 is above 59; want five fields such as "*/5 * * * *", or "@every 60s"`
	if _, err := Parse("61 * * * *", time.UTC); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	const long = `schedule "********************************"… is 257 bytes long; the limit is 256`
	if _, err := Parse(strings.Repeat("*", 257), time.UTC); err == nil || err.Error() != long {
		t.Errorf("got %v\nwant %s", err, long)
	}
}

// TestParseAccepts checks that pairs of schedules have the same meaning.
func TestParseAccepts(t *testing.T) {
	for _, c := range [][2]string{
		{"*/5 * * * *", "  */5\t*  * * *\n"},
		{"*/5 * * * *", "0 */5 * * * *"},
		{"*/60 */24 * * *", "0 0 * * *"},
		{"5/20 * * * *", "5,25,45 * * * *"},
		{"5-30/10 * * * *", "5,15,25 * * * *"},
		{"07 008 * * *", "7 8 * * *"},
		{"0 0 * JAN-mar MON-Fri", "0 0 * 1-3 1-5"},
		{"0 0 ? * ?", "@daily"},
		{"0 0 1,* * 5", "0 0 * * 5"},
		{"0 0 * * 7", "@weekly"},
		{"0 0 * * 7/2", "@weekly"},
		{"0 0 * * sat-7", "0 0 * * 0,6"},
		{"0 0 * * 1-7/3", "0 0 * * 1,4,0"},
		{"0 0 1 1-12 *", "@monthly"},
		{"@every 60s", "@every   1m "},
		{"@every 1500ms", "@every 1.5s"},
	} {
		a, b := mustParse(t, c[0], "Europe/Oslo"), mustParse(t, c[1], "Europe/Oslo")
		x := at(t, "2024-02-27T10:11:12Z")
		for range 40 {
			y := b.Next(x)
			if x = a.Next(x); !x.Equal(y) {
				t.Errorf("%q is due at %v, %q at %v", c[0], x, c[1], y)
				break
			}
		}
	}
}

func TestParseEveryHour(t *testing.T) {
	for spec, want := range map[string]bool{
		"* * * * *": true, "* */1 * * *": true, "* 0-23 * * *": true, "* 0-11,12-23 * * *": true, "@hourly": true,
		"* 0-22 * * *": false, "* */2 * * *": false, "@daily": false,
	} {
		if got := mustParse(t, spec, "UTC").hourly; got != want {
			t.Errorf("%s: every hour = %v, want %v", spec, got, want)
		}
	}
}

func TestParseWithoutZoneIsLocal(t *testing.T) {
	s, err := Parse("0 9 * * *", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Next(at(t, "2024-01-10T00:00:00Z")); got.Location() != time.Local || got.Hour() != 9 {
		t.Errorf("Next = %v, want 09:00 local time", got)
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
		"utc":                     `timezone "utc" is misspelled: capitals matter` + want,
		"local":                   `timezone "local" is misspelled: capitals matter` + want,
		strings.Repeat("A/", 200): `timezone "` + strings.Repeat("A/", 16) + `"… is 400 bytes long` + want,
	} {
		if loc, err := Location(name); err == nil || err.Error() != text {
			t.Errorf("Location(%q) = %v, %v\nwant %s", name, loc, err, text)
		}
	}
}

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

// checkErrorText checks that the error of a schedule does not contain internal texts, which would not help the user.
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
