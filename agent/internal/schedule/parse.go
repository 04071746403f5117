package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	maxLen   = 256 // bytes of a schedule's text; the longest useful list of numbers is shorter
	minEvery = time.Second
	maxEvery = 5 * 366 * 24 * time.Hour
	wanted   = `want five fields such as "*/5 * * * *", or "@every 60s"`
	// descriptors are the words that stand for five fields.
	descriptors = "@hourly @daily @midnight @weekly @monthly @yearly @annually"
)

// Parse reads a schedule, whose cron times are those of the clock in loc (nil is the host's zone). It takes
//
//   - five cron fields: minute, hour, day of month, month, day of week; and optionally the second before them (0 if left out);
//   - @hourly, @daily or @midnight, @weekly (Sunday), @monthly, @yearly or @annually;
//   - "@every" and a duration of whole milliseconds, from one second to five years, such as "@every 1m30s".
//
// A field is a list of numbers, ranges and steps as in crontab(5). Months and days of the week have English three-letter
// names, Sunday is 0 and 7, and ? is *. If neither day field is *, a day has to match one of them only; a
// step such as */2 is not * here.
//
// The error is one line that says what was read, what is wrong with it and what is wanted. A schedule that would never be
// due, such as 31 February, is an error.
func Parse(spec string, loc *time.Location) (*Schedule, error) {
	if len(spec) > maxLen {
		return nil, fmt.Errorf("schedule %q… is %d bytes long; at most %d are read", spec[:32], len(spec), maxLen)
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
			return fmt.Errorf("the character %q belongs to no schedule; %s", r, wanted)
		}
	}
	words := strings.Fields(spec)
	if len(words) == 0 {
		return errors.New("it is empty; " + wanted)
	}
	if first := strings.ToUpper(words[0]); strings.HasPrefix(first, "TZ=") || strings.HasPrefix(first, "CRON_TZ=") {
		return errors.New("a time zone cannot be part of it; put the zone into the timezone setting beside it")
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

// readEvery takes the duration itself: the cron library would round it to seconds.
func (s *Schedule) readEvery(words []string) error {
	const want = `want a duration such as "@every 60s", "@every 5m" or "@every 1h30m"`
	if len(words) != 1 {
		return fmt.Errorf("@every takes one word, %d were read; %s", len(words), want)
	}
	d, err := time.ParseDuration(words[0])
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration; %s", words[0], want)
	case d < minEvery:
		return fmt.Errorf("%s is below 1s; a job that runs more often would measure little but itself; %s", words[0], want)
	case d > maxEvery:
		return fmt.Errorf("%s is above five years; %s", words[0], want)
	case d%time.Millisecond != 0:
		return fmt.Errorf("%s is not a whole number of milliseconds; %s", words[0], want)
	}
	s.every = d
	return nil
}

// readCron hands checked text to the library, of which only the bits of the fields are used.
func (s *Schedule) readCron(text string) error {
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse(text)
	bits, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return errors.New("it cannot be read; " + wanted) // not reached as long as cronText checks more than the library
	}
	s.fields = *bits
	s.fields.Location = time.UTC
	const everyHour = 1<<24 - 1
	s.hourly = s.fields.Hour&everyHour == everyHour
	// Every day of the calendar comes up within eight years, so that the answer does not depend on when this is asked.
	if _, ok := s.shown(0); !ok {
		return errors.New("it is never due, as no such month has such a day; correct the day of month or the month")
	}
	return nil
}

// cronText checks the words of a schedule other than "@every", and returns them as the library reads them right.
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
		want := wanted
		if _, err := time.ParseDuration(words[0]); err == nil && len(words) == 1 {
			want = fmt.Sprintf(`did you mean "@every %s"?`, words[0])
		}
		return "", fmt.Errorf("%d of five fields were read (six with seconds); %s", len(words), want)
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
