package starlark

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/sources"
)

// rfc3339 is the function time.rfc3339(text).
func rfc3339(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("rfc3339: %.60q is not an RFC 3339 time such as 2026-03-01T12:00:00Z", text)
	}
	return startime.Time(t), nil
}

// parseDuration is the function time.parse_duration(text). It accepts texts such as "1h30m" and "PT1H30M" (ISO 8601).
func parseDuration(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	d, err := parseDurationText(text)
	if err != nil {
		return nil, fmt.Errorf("parse_duration: %w", err)
	}
	return startime.Duration(d), nil
}

// durationOf converts a string, a duration or a number of seconds to a duration. None is 0.
func durationOf(v starlark.Value) (time.Duration, error) {
	switch x := v.(type) {
	case nil, starlark.NoneType:
		return 0, nil
	case startime.Duration:
		return time.Duration(x), nil
	case starlark.String:
		return parseDurationText(string(x))
	}
	seconds, err := numberOf(v)
	if err != nil {
		return 0, err
	}
	return inSeconds(seconds)
}

func inSeconds(seconds float64) (time.Duration, error) {
	if !(math.Abs(seconds) < math.MaxInt64/1e9) {
		return 0, errors.New("want at most 292 years")
	}
	return time.Duration(seconds * 1e9), nil
}

// parseDurationText parses a duration of Go, or of ISO 8601 with weeks, days, hours, minutes and seconds. It does not accept months
// and years, since their lengths vary.
func parseDurationText(text string) (time.Duration, error) {
	if !strings.HasPrefix(text, "P") {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, badDuration(text)
		}
		return d, nil
	}
	total, inTime, units := 0.0, false, "WDHMS"
	rest := text[1:]
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, "T"); ok && !inTime && after != "" {
			rest, inTime = after, true
			continue
		}
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, badDuration(text)
		}
		value, err := strconv.ParseFloat(rest[:n], 64)
		at := strings.IndexByte(units, rest[n])
		if err != nil || at < 0 || inTime != strings.Contains("HMS", rest[n:n+1]) {
			return 0, badDuration(text)
		}
		total += value * map[byte]float64{'W': 7 * 86400, 'D': 86400, 'H': 3600, 'M': 60, 'S': 1}[rest[n]]
		units, rest = units[at+1:], rest[n+1:]
	}
	if len(units) == len("WDHMS") {
		return 0, badDuration(text)
	}
	return inSeconds(total)
}

func badDuration(text string) error {
	return fmt.Errorf("%.60q is not a duration such as 1h30m or PT1H30M", text)
}

// strptime is the function time.strptime(text, format, location = "UTC"), with the directives of C and Python. If a local time
// occurs twice because clocks are set back, it returns the second time, unless that is after the tick.
func (s *source) strptime(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, format string
	location := "UTC"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text, "format", &format, "location?", &location); err != nil {
		return nil, err
	}
	layout, err := layoutOf(format)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(location)
	if err != nil {
		return nil, fmt.Errorf("strptime: unknown time zone %.60q: want a name such as Europe/Oslo", location)
	}
	t, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		// Like in Python, %z also reads an offset with a colon.
		t, err = time.ParseInLocation(strings.ReplaceAll(layout, "Z0700", "Z07:00"), text, zone)
	}
	if err != nil {
		return nil, fmt.Errorf("strptime: %.60q does not match the format %q", text, format)
	}
	if strings.Contains(layout, "MST") && t.Location() != zone && t.Location() != time.UTC {
		if name, _ := t.Zone(); name != "GMT" { // package time has not found the zone and has made one with offset 0
			return nil, fmt.Errorf("strptime: %s has no time zone %.20q: set location to a place that has it, such as Europe/Oslo", zone, name)
		}
	}
	if zoned := strings.Contains(layout, "MST") || strings.Contains(layout, "Z07"); !zoned && s.tick != nil {
		if first, second, twice := sources.Twice(t); twice {
			t = sources.NotAfter(s.tick.at.Time, first, second)
		}
	}
	return startime.Time(t), nil
}

// layoutOf converts a format of strptime to a layout of package time. With such a layout, package time also accepts a fraction
// (.%f) after the seconds.
func layoutOf(format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			if c >= '0' && c <= '9' {
				return "", errors.New("strptime: the format cannot contain digits")
			}
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(format) {
			return "", errors.New("strptime: the format ends with %")
		}
		layout, ok := map[byte]string{
			'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'f': "999999",
			'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "Z0700", 'Z': "MST", 'j': "002", 'T': "15:04:05", 'D': "01/02/06",
			'F': "2006-01-02", '%': "%",
		}[format[i]]
		if !ok {
			return "", fmt.Errorf("strptime: unknown directive %%%c; supported are %%Y %%m %%d %%H %%M %%S %%f %%z %%Z %%b %%B %%a %%A %%y %%j %%I %%p", format[i])
		}
		if format[i] == 'f' && !strings.HasSuffix(b.String(), ".") {
			return "", errors.New("strptime: %f must follow a dot, as in %S.%f")
		}
		b.WriteString(layout)
	}
	return b.String(), nil
}
