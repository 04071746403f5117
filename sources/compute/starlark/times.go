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
)

// rfc3339 is time.rfc3339(text): a time as most APIs write it.
func rfc3339(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("rfc3339: %.60q is no time such as 2026-03-01T12:00:00Z", text)
	}
	return startime.Time(t), nil
}

// parseDuration is time.parse_duration(text): "1h30m", or "PT1H30M" as ISO 8601 has it.
func parseDuration(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	d, err := durationText(text)
	if err != nil {
		return nil, fmt.Errorf("parse_duration: %w", err)
	}
	return startime.Duration(d), nil
}

// durationOf is an argument that says how long: a text, a number of seconds, a duration; 0 without.
func durationOf(name string, v starlark.Value) (d time.Duration, err error) {
	switch x := v.(type) {
	case nil, starlark.NoneType:
		return 0, nil
	case startime.Duration:
		d = time.Duration(x)
	case starlark.String:
		d, err = durationText(string(x))
	default:
		var seconds float64
		if seconds, err = numberOf(v); err == nil {
			d, err = inSeconds(seconds)
		}
	}
	if err == nil && d < 0 {
		err = errors.New("less than nothing")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: expires: want such as \"60s\" or a number of seconds: %w", name, err)
	}
	return d, nil
}

func inSeconds(seconds float64) (time.Duration, error) {
	if !(math.Abs(seconds) < math.MaxInt64/1e9) {
		return 0, errors.New("more than 292 years")
	}
	return time.Duration(seconds * 1e9), nil
}

// durationText reads a duration as Go writes it, or as ISO 8601 does with weeks, days, hours, minutes and seconds. Months
// and years are refused: how long one is depends on when.
func durationText(text string) (time.Duration, error) {
	if !strings.HasPrefix(text, "P") {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%.60q is no duration such as 1h30m or PT1H30M", text)
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
			return 0, fmt.Errorf("%.60q is no duration such as 1h30m or PT1H30M", text)
		}
		value, err := strconv.ParseFloat(rest[:n], 64)
		at := strings.IndexByte(units, rest[n])
		if err != nil || at < 0 || inTime != strings.Contains("HMS", rest[n:n+1]) {
			return 0, fmt.Errorf("%.60q is no duration such as 1h30m or PT1H30M", text)
		}
		total += value * map[byte]float64{'W': 7 * 86400, 'D': 86400, 'H': 3600, 'M': 60, 'S': 1}[rest[n]]
		units, rest = units[at+1:], rest[n+1:]
	}
	if len(units) == len("WDHMS") {
		return 0, fmt.Errorf("%.60q is no duration such as 1h30m or PT1H30M", text)
	}
	return inSeconds(total)
}

// strptime is time.strptime(text, format, location = "UTC") with the letters of C and Python.
func strptime(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
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
		return nil, fmt.Errorf("strptime: no time zone %.60q", location)
	}
	t, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		// Python's %z reads an offset with a colon, too.
		t, err = time.ParseInLocation(strings.ReplaceAll(layout, "Z0700", "Z07:00"), text, zone)
	}
	if err != nil {
		return nil, fmt.Errorf("strptime: %.60q is no time as %q", text, format)
	}
	if strings.Contains(layout, "MST") && t.Location() != zone && t.Location() != time.UTC {
		if name, _ := t.Zone(); name != "GMT" { // time has made the zone up, as if it were UTC
			return nil, fmt.Errorf("strptime: nobody knows %.20q in %s: give the location that it belongs to", name, zone)
		}
	}
	return startime.Time(t), nil
}

// layoutOf is the layout of Go's that reads what the format of strptime does. A fraction of a second (.%f) is read wherever
// seconds are.
func layoutOf(format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			if c >= '0' && c <= '9' {
				return "", errors.New("strptime: a digit cannot stand in a format")
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
			return "", fmt.Errorf("strptime: no %%%c; there are %%Y %%m %%d %%H %%M %%S %%f %%z %%Z %%b %%B %%a %%A %%y %%j %%I %%p", format[i])
		}
		if format[i] == 'f' && !strings.HasSuffix(b.String(), ".") {
			return "", errors.New("strptime: %f stands behind a point, as in %S.%f")
		}
		b.WriteString(layout)
	}
	return b.String(), nil
}
