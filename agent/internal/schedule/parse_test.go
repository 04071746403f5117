package schedule

import (
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
		{"* * * *", `4 of five fields were read (six with seconds)` + five},
		{"* * * * * * *", `7 of five fields were read (six with seconds)` + five},
		{"90s", `1 of five fields were read (six with seconds); did you mean "@every 90s"?`},
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
		{"*-5 * * * *", `minute "*-5" is both a range and *` + five},
		{"? ?-3 * * *", `hour "?-3" is both a range and ?` + five},
		{"1,,2 * * * *", `minute "1,,2" has a comma with nothing beside it` + five},
		{"0 0 1 , 0", `month "," has a comma with nothing beside it` + five},
		{"* 22-2 * * *", `hour 22-2 goes backwards; split it, as in 22-23,0-2` + five},
		{"* * * * fri-sun", `day of week fri-sun goes backwards; split it, as in 5-6,0` + five},
		{"* * * dec-jan *", `month dec-jan goes backwards; split it, as in 12,1` + five},
		{"*/0 * * * *", `minute step 0 would never move on` + five},
		{"*/90 * * * *", `minute step 90 is above 60, the number of values of that field` + five},
		{"*/ * * * *", `minute step "" is not a number` + five},
		{"*/5/5 * * * *", `minute step "5/5" is not a number` + five},
		{"* * L * *", `day of month "L" is not a number` + five},
		{"* * * sept *", `month "sept" is neither a number nor one of jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec` + five},
		{"* * * n\u00a0f *", `the character '\u00a0' belongs to no schedule` + five},
		{"* * * n-f *", `month "n" is neither a number nor one of jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec` + five},
		{"* * * * a\x00", `the character '\x00' belongs to no schedule` + five},
		{"* * * * 1#2", `day of week "1#2" is neither a number nor one of sun, mon, tue, wed, thu, fri, sat` + five},
		{"“0 0 * * *”", `the character '“' belongs to no schedule` + five},
		{"TZ=0", `a time zone cannot be part of it; put the zone into the timezone setting beside it`},
		{" TZ=Europe/Oslo 0 0 * * *", `a time zone cannot be part of it; put the zone into the timezone setting beside it`},
		{"CRON_TZ=UTC @daily", `a time zone cannot be part of it; put the zone into the timezone setting beside it`},
		{"cron_tz=", `a time zone cannot be part of it; put the zone into the timezone setting beside it`},
		{"@reboot", `"@reboot" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@daily 5", `"@daily 5" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@every60s", `"@every60s" is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "@every 60s"`},
		{"@every", `@every takes one word, 0 were read` + every},
		{"@every 1 h", `@every takes one word, 2 were read` + every},
		{"@every 1d", `"1d" is not a duration` + every},
		{"@every 60", `"60" is not a duration` + every},
		{"@every 999ms", `999ms is below 1s; a job that runs more often would measure little but itself` + every},
		{"@every -5m", `-5m is below 1s; a job that runs more often would measure little but itself` + every},
		{"@every 1.0005s", `1.0005s is not a whole number of milliseconds` + every},
		{"@every 50000h", `50000h is above five years` + every},
		{"@every 9999999h", `"9999999h" is not a duration` + every},
		{"0 0 31 2 *", `it is never due, as no such month has such a day; correct the day of month or the month`},
		{"0 0 31 4,6,9,11 *", `it is never due, as no such month has such a day; correct the day of month or the month`},
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
	const long = `schedule "********************************"… is 257 bytes long; at most 256 are read`
	if _, err := Parse(strings.Repeat("*", 257), time.UTC); err == nil || err.Error() != long {
		t.Errorf("got %v\nwant %s", err, long)
	}
}

// TestParseAccepts pairs spellings that have to mean the same.
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
		t.Errorf("Next = %v, want 09:00 of the host's clock", got)
	}
}
