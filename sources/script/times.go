package script

import (
	"errors"
	"fmt"
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
		return nil, fmt.Errorf("strptime: %.60q is no time as %q", text, format)
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
			'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST", 'j': "002", 'T': "15:04:05", 'D': "01/02/06",
			'F': "2006-01-02", '%': "%",
		}[format[i]]
		if !ok {
			return "", fmt.Errorf("strptime: no %%%c; there are %%Y %%m %%d %%H %%M %%S %%f %%z %%Z %%b %%B %%a %%A %%y %%j %%I %%p", format[i])
		}
		if format[i] == 'f' && !strings.HasSuffix(b.String(), ".") {
			return "", errors.New("strptime: %f stands behind a point, as in %S.%f")
		}
		if format[i] == 'z' && strings.HasSuffix(b.String(), "05") {
			layout = "Z0700"
		}
		b.WriteString(layout)
	}
	return b.String(), nil
}
