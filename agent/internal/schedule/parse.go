package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	maxLen   = 256 // maximum length in bytes; every useful list of numbers is shorter
	minEvery = time.Second
	maxEvery = 5 * 366 * 24 * time.Hour
	wanted   = `want five fields such as "*/5 * * * *", or "@every 60s"`
	// descriptors are the names of common schedules.
	descriptors = "@hourly @daily @midnight @weekly @monthly @yearly @annually"
)

// Parse parses a schedule. The schedule is in local time of loc; nil means the host's time zone. Parse accepts
//
//   - five cron fields: minute, hour, day of month, month, day of week; optionally the second before them (default 0);
//   - @hourly, @daily or @midnight, @weekly (Sunday), @monthly, @yearly or @annually;
//   - "@every" and a duration of whole milliseconds, from one second to five years, such as "@every 1m30s".
//
// A field is a list of numbers, ranges and steps as in crontab(5). Months and days of the week have English three-letter
// names, Sunday is 0 or 7, and ? means *. If neither day field is *, a day must match only one of them. A step such as */2
// does not count as * here.
//
// The error is one line: the schedule, what is wrong, and what is expected. A schedule that is never due, such as 31
// February, is an error.
func Parse(spec string, loc *time.Location) (*Schedule, error) {
	if len(spec) > maxLen {
		return nil, fmt.Errorf("schedule %q… is %d bytes long; the limit is %d", spec[:32], len(spec), maxLen)
	}
	if loc == nil {
		loc = time.Local
	}
	s := &Schedule{loc: loc}
	if err := s.read(spec); err != nil {
		return nil, fmt.Errorf("schedule %q: %w", spec, err)
	}
	return s, nil
}

func (s *Schedule) read(spec string) error {
	for _, r := range spec {
		if r > '~' || r < ' ' && !strings.ContainsRune("\t\n\v\f\r", r) {
			return fmt.Errorf("the character %q is not allowed; %s", r, wanted)
		}
	}
	words := strings.Fields(spec)
	if len(words) == 0 {
		return errors.New("it is empty; " + wanted)
	}
	if first := strings.ToUpper(words[0]); strings.HasPrefix(first, "TZ=") || strings.HasPrefix(first, "CRON_TZ=") {
		return errors.New("it cannot have a time zone; use the setting timezone")
	}
	if words[0] == "@every" {
		return s.readEvery(words[1:])
	}
	text, err := cronText(words)
	if err != nil {
		return err
	}
	return s.readCron(text)
}

// readEvery parses the duration after "@every". It does not use the cron library, which would round the duration to seconds.
func (s *Schedule) readEvery(words []string) error {
	const want = `want a duration such as "@every 60s", "@every 5m" or "@every 1h30m"`
	if len(words) != 1 {
		return fmt.Errorf("@every has %d words after it, want one; %s", len(words), want)
	}
	d, err := time.ParseDuration(words[0])
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration; %s", words[0], want)
	case d < minEvery:
		return fmt.Errorf("%s is below the minimum of 1s; %s", words[0], want)
	case d > maxEvery:
		return fmt.Errorf("%s is above the maximum of five years; %s", words[0], want)
	case d%time.Millisecond != 0:
		return fmt.Errorf("%s is not a whole number of milliseconds; %s", words[0], want)
	}
	s.every = d
	return nil
}

// readCron parses checked text with the cron library. Of the library's result, only the bits of the fields are used.
func (s *Schedule) readCron(text string) error {
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse(text)
	bits, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return errors.New("it cannot be parsed; " + wanted) // not reached: cronText checks more than the library
	}
	s.fields = *bits
	s.fields.Location = time.UTC
	const everyHour = 1<<24 - 1
	s.hourly = s.fields.Hour&everyHour == everyHour
	// Every date occurs within eight years, so the start of this search does not matter.
	if _, ok := s.match(0); !ok {
		return errors.New("it is never due: no such month has such a day; change the day of month or the month")
	}
	return nil
}

// cronText checks the words of a schedule other than "@every". It returns them as text that the library parses correctly.
func cronText(words []string) (string, error) {
	if strings.HasPrefix(words[0], "@") {
		for known := range strings.FieldsSeq(descriptors) {
			if len(words) == 1 && words[0] == known {
				return known, nil
			}
		}
		return "", fmt.Errorf(`%q is not one of %s, "@every 60s"`, strings.Join(words, " "), strings.ReplaceAll(descriptors, " ", ", "))
	}
	if len(words) != 5 && len(words) != 6 {
		want := `for example "*/5 * * * *", or "@every 60s"`
		if _, err := time.ParseDuration(words[0]); err == nil && len(words) == 1 {
			want = fmt.Sprintf(`did you mean "@every %s"?`, words[0])
		}
		return "", fmt.Errorf("want five fields (or six with seconds), got %d; %s", len(words), want)
	}
	fields := fieldsOf(len(words))
	out := make([]string, len(words))
	for i, word := range words {
		checked, err := fields[i].check(word)
		if err != nil {
			return "", fmt.Errorf("%w; %s", err, wanted)
		}
		out[i] = checked
	}
	return strings.Join(out, " "), nil
}

// field is one field of a cron expression. It is checked before the cron library parses it: the library reads *-5 as * and
// an empty list as a field that never matches, and its error messages do not help the user.
type field struct {
	name     string
	low      int
	high     int
	names    string // three-letter names of the values from low on, separated by one space
	sundayAt int    // a number greater than high that means low; 0 = none
}

// fieldsOf returns the fields of a schedule in order. The argument n is the number of fields: five, or six with seconds.
func fieldsOf(n int) []field {
	all := []field{
		{name: "second", high: 59},
		{name: "minute", high: 59},
		{name: "hour", high: 23},
		{name: "day of month", low: 1, high: 31},
		{name: "month", low: 1, high: 12, names: "jan feb mar apr may jun jul aug sep oct nov dec"},
		{name: "day of week", high: 6, names: "sun mon tue wed thu fri sat", sundayAt: 7},
	}
	return all[len(all)-n:]
}

// check checks a field's text. It returns a text with the same meaning, in a form that the library accepts.
func (f field) check(text string) (string, error) {
	items := strings.Split(text, ",")
	for i, item := range items {
		if item == "" {
			return "", fmt.Errorf("%s %q has an empty element between commas", f.name, text)
		}
		checked, err := f.item(item)
		if err != nil {
			return "", err
		}
		items[i] = checked
	}
	return strings.Join(items, ","), nil
}

// item checks one element of the list: *, a number or a range, with an optional step.
func (f field) item(text string) (string, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = f.step(stepText); err != nil {
			return "", err
		}
	}
	if span == "*" || span == "?" {
		return text, nil
	}
	from, to, ranged := strings.Cut(span, "-")
	if from == "*" || from == "?" {
		return "", fmt.Errorf("%s %q has %s in a range", f.name, text, from)
	}
	if from == "" || ranged && (to == "" || strings.Contains(to, "-")) {
		return "", fmt.Errorf("%s %q is neither a number nor a range such as %d-%d", f.name, text, f.low+1, f.low+5)
	}
	low, err := f.number(from)
	if err != nil {
		return "", err
	}
	high := low
	if ranged {
		if high, err = f.number(to); err != nil {
			return "", err
		}
	}
	if high < low {
		return "", fmt.Errorf("%s %s is in reverse order; split it into %s", f.name, span, f.around(low, high))
	}
	if high <= f.high {
		return text, nil
	}
	return f.folded(low, high, step), nil
}

// folded returns a range that includes 7 for Sunday as a list with 0 instead of 7, because the library does not accept 7.
func (f field) folded(low, high, step int) string {
	var out []string
	for n := low; n <= high; n += step {
		out = append(out, strconv.Itoa(n%f.sundayAt))
	}
	return strings.Join(out, ",")
}

// around splits a range that continues beyond the end of the field into two ranges.
func (f field) around(low, high int) string {
	part := func(a, b int) string {
		if a == b {
			return strconv.Itoa(a)
		}
		return fmt.Sprintf("%d-%d", a, b)
	}
	return part(low, f.high) + "," + part(f.low, high)
}

// step parses the step after the slash. It rejects a step longer than the field: with */90 as the minute, the job would run
// once an hour.
func (f field) step(text string) (int, error) {
	n, err := count(text)
	size := f.high - f.low + 1
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s step %q is not a number", f.name, text)
	case n == 0:
		return 0, fmt.Errorf("%s step %s is not allowed; the smallest is 1", f.name, text)
	case n > size:
		return 0, fmt.Errorf("%s step %s is above %d, the number of values of the field", f.name, text, size)
	}
	return n, nil
}

// number parses a number, or a name such as mon or jan.
func (f field) number(text string) (int, error) {
	if at := strings.Index(f.names, strings.ToLower(text)); at >= 0 && at%4 == 0 && len(text) == 3 {
		return f.low + at/4, nil
	}
	n, err := count(text)
	switch {
	case err != nil && f.names != "":
		return 0, fmt.Errorf("%s %q is neither a number nor one of %s", f.name, text, strings.ReplaceAll(f.names, " ", ", "))
	case err != nil:
		return 0, fmt.Errorf("%s %q is not a number", f.name, text)
	case n < f.low:
		return 0, fmt.Errorf("%s %s is below %d", f.name, text, f.low)
	case n > max(f.high, f.sundayAt):
		return 0, fmt.Errorf("%s %s is above %d", f.name, text, max(f.high, f.sundayAt))
	}
	return n, nil
}

// count parses digits, without a sign or spaces. If the number does not fit an int, it returns a large number.
func count(text string) (int, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errors.New("not a number")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1 << 30, nil
	}
	return n, nil
}

// Location returns a time zone by its name. "" and "Local" are the host's zone, and "UTC" is UTC. Other names are those of
// the IANA Time Zone database, which is read from the host or from the binary.
func Location(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return time.Local, nil
	}
	const want = `want a name such as "Europe/Oslo", or "UTC", or "Local" for the host's own`
	if len(name) > maxLen {
		return nil, fmt.Errorf("timezone %q… is %d bytes long; %s", name[:32], len(name), want)
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		return loc, nil
	}
	if strings.EqualFold(name, "utc") || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("timezone %q is misspelled: capitals matter; %s", name, want)
	}
	// The library's error is not shown: it is a list of paths.
	return nil, fmt.Errorf("timezone %q is not known; %s; if the name is right, install the host's zone data (tzdata)", name, want)
}
