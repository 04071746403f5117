package jobtest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Options are set in the lines before the first section of the archive.
type Options struct {
	Job   string            // job: NAME; "" = the only job
	Start time.Time         // start: TIME in RFC 3339; the first tick is at this time or later
	Every time.Duration     // every: time between ticks; 0 = as in the job's schedule
	Env   map[string]string // env NAME=value: value of env:NAME; a variable that is not set has the value test-NAME
}

// LookupEnv returns a variable of the test's environment. The job's secrets come from there.
func (o *Options) LookupEnv(name string) (string, bool) {
	if value, ok := o.Env[name]; ok {
		return value, true
	}
	return "test-" + name, true
}

// readOptions reads the lines before the first section. A line that looks like an option must be a known option, so that a
// mistyped option is an error.
func (t *Test) readOptions(file, comment string) error {
	t.Start, t.Env = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), map[string]string{}
	form := regexp.MustCompile(`^([a-z]+): +(.*)$`)
	var errs []error
	line := 0
	for text := range strings.Lines(comment) {
		line++
		text = strings.TrimSpace(text)
		var err error
		if variable, ok := strings.CutPrefix(text, "env "); ok {
			err = t.readEnv(variable)
		} else if parts := form.FindStringSubmatch(text); parts != nil {
			err = t.readOption(parts[1], parts[2])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, line, err))
		}
	}
	return errors.Join(errs...)
}

func (t *Test) readEnv(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.Contains(name, " ") {
		return errors.New("env: want env NAME=value; start the line with # if it is a description")
	}
	t.Env[name] = value
	return nil
}

func (t *Test) readOption(name, value string) error {
	switch name {
	case "job":
		t.Job = value
	case "start":
		start, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("start: want a time such as 2026-01-01T00:00:00Z")
		}
		t.Start = start
	case "every":
		var every setting.Duration
		if err := every.UnmarshalText([]byte(value)); err != nil {
			return fmt.Errorf("every: %w", err)
		}
		if every == 0 {
			return errors.New("every: want more than 0")
		}
		t.Every = time.Duration(every)
	default:
		return fmt.Errorf("no option %q; there are job, start, every and env; start the line with # if it is a description", name)
	}
	return nil
}
