package statuspage

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/text"
)

// scheduleInWords returns the schedule of a job in words, such as "every 5 minutes". If it has no words for a cron expression, it returns
// the expression unchanged.
func scheduleInWords(j *config.Job) string {
	if j.Schedule == nil {
		return j.ScheduleText
	}
	if every, ok := j.Schedule.Every(); ok {
		return everyInWords(every)
	}
	words, local := cronInWords(j.ScheduleText)
	if local && j.Timezone != "" {
		words += " (" + j.Timezone + ")"
	}
	return words
}

func everyInWords(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d%unit.of == 0 && d > 0 {
			if d == unit.of {
				return "every " + unit.name
			}
			return "every " + text.Count(int(d/unit.of), unit.name)
		}
	}
	return "every " + d.String()
}

// cronInWords returns a cron expression in words. The result "local" is true if the schedule depends on the time zone.
func cronInWords(cron string) (words string, local bool) {
	switch cron {
	case "@hourly":
		return "every hour", false
	case "@daily", "@midnight":
		return "daily at 00:00", true
	case "@weekly":
		return "Sundays at 00:00", true
	case "@monthly":
		return "on the 1st of the month at 00:00", true
	case "@yearly", "@annually":
		return "on 1 January at 00:00", true
	}
	f := strings.Fields(cron)
	if len(f) != 5 {
		return cron, true
	}
	minute, hour, date, month, day := f[0], f[1], f[2], f[3], f[4]
	step := regexp.MustCompile(`^\*/(\d+)$`)
	number := regexp.MustCompile(`^\d{1,2}$`)
	anyDate := date == "*" && month == "*"
	switch {
	case !anyDate && !(number.MatchString(date) && month == "*" && day == "*"):
		return cron, true
	case anyDate && day == "*" && hour == "*" && minute == "*":
		return "every minute", false
	case anyDate && day == "*" && hour == "*" && step.MatchString(minute):
		return "every " + step.FindStringSubmatch(minute)[1] + " minutes", false
	case anyDate && day == "*" && hour == "*" && number.MatchString(minute):
		return fmt.Sprintf("every hour, %s minutes past", minute), false
	case !number.MatchString(minute) || !number.MatchString(hour):
		return cron, true
	}
	at := fmt.Sprintf(" at %02s:%02s", hour, minute)
	switch {
	case date != "*":
		return "on day " + date + " of the month" + at, true
	case day == "*":
		return "daily" + at, true
	}
	names, ok := daysInWords(day)
	if !ok {
		return cron, true
	}
	return names + at, true
}

// daysInWords returns the days of the week of a cron field in words. It returns false if it does not know the field's syntax.
func daysInWords(field string) (string, bool) {
	names := []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	name := func(s string) (string, bool) {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(names) {
			return names[n], true
		}
		for _, full := range names {
			if strings.EqualFold(s, full[:3]) {
				return full, true
			}
		}
		return "", false
	}
	if from, to, ok := strings.Cut(field, "-"); ok {
		a, ok1 := name(from)
		b, ok2 := name(to)
		return a + " to " + b, ok1 && ok2
	}
	var all []string
	for part := range strings.SplitSeq(field, ",") {
		n, ok := name(part)
		if !ok {
			return "", false
		}
		all = append(all, n+"s")
	}
	return strings.Join(all, ", "), true
}

// inWords returns a duration in at most two units, such as 2 h 5 min.
func inWords(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.Replace(fmt.Sprintf("%.1f s", d.Seconds()), ".0 ", " ", 1)
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "min")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	s := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 && d/large < 10 {
		s += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return s
}

// countInWords returns a number with spaces between groups of three digits.
func countInWords(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// bytesInWords returns a size in bytes with a unit, such as 1.5 MiB.
func bytesInWords(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
