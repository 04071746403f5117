package jq

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// timestamp is the function timestamp. It converts a time to Unix seconds with their fraction. It returns null for null, and for a time
// that means "never".
func timestamp(in any, _ []any) any {
	switch text := in.(type) {
	case nil:
		return nil
	case int:
		if text == 0 {
			return nil
		}
	case float64:
		if text == 0 {
			return nil
		}
	case json.Number:
		if text == "0" {
			return nil
		}
	case string:
		if IsNever(text) {
			return nil
		}
		t, err := ParseTime(text)
		if err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
		return Epoch(t)
	}
	return fmt.Errorf("timestamp: want a string such as 2026-03-01T12:00:00Z, got %s", gojq.Preview(in))
}

// IsNever reports whether a text means that there is no time. Such a text is empty, or it is the zero time of Go and .NET (0001-01-01) or
// of MySQL (0000-00-00).
func IsNever(text string) bool {
	return text == "" || strings.HasPrefix(text, "0001-01-01") || strings.HasPrefix(text, "0000-00-00")
}

// second is an example of a time up to its seconds.
const second = "2026-03-01T12:00:00"

// ParseTime parses a time in RFC 3339, with or without a fraction of a second. A space is accepted in place of the T and before the
// offset, and offsets such as +0200 and +02 are accepted as in ISO 8601. A time without an offset is an error, since its time zone
// is unknown.
func ParseTime(text string) (time.Time, error) {
	t, rest, ok := parseSecond(text)
	switch {
	case !ok && len(text) == len("2026-03-01"):
		if _, _, isDay := parseSecond(text + second[len(text):]); isDay {
			return t, fmt.Errorf(`%q is a date without a time; for the start of the day in UTC write . + "T00:00:00Z" | timestamp`, text)
		}
	case ok && strings.HasPrefix(rest, "."):
		end := strings.IndexFunc(rest[1:], func(r rune) bool { return r < '0' || r > '9' }) + 1
		if end == 0 {
			end = len(rest)
		}
		nanos, _, valid := digits((rest[1:end] + "000000000")[:9], 9)
		t, rest, ok = t.Add(time.Duration(nanos)), rest[end:], valid && end > 1
	}
	if ok && rest == "" {
		return t, fmt.Errorf(`%.40q has no offset from UTC; if it is in UTC write . + "Z" | timestamp`, text)
	}
	offset, known := parseOffset(strings.TrimPrefix(rest, " "))
	if !ok || !known {
		return t, fmt.Errorf("%.40q is not a time such as 2026-03-01T12:00:00Z or 2026-03-01 13:00:00.5 +0100", text)
	}
	return t.Add(-offset), nil
}

// parseSecond parses the beginning of a time, from the year to the second, as UTC. It also returns the remaining text.
func parseSecond(text string) (t time.Time, rest string, ok bool) {
	if len(text) < len(second) {
		return t, "", false
	}
	var field [6]int // year, month, day, hour, minute, second
	rest = text
	for i, mark := range []string{"-", "-", "Tt ", ":", ":", ""} {
		width := 2
		if i == 0 {
			width = 4
		}
		if field[i], rest, ok = digits(rest, width); !ok {
			return t, "", false
		}
		if mark != "" {
			if rest == "" || strings.IndexByte(mark, rest[0]) < 0 {
				return t, "", false
			}
			rest = rest[1:]
		}
	}
	t = time.Date(field[0], time.Month(field[1]), field[2], field[3], field[4], field[5], 0, time.UTC)
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	return t, rest, field == [6]int{year, int(month), day, hour, minute, sec}
}

// parseOffset parses Z, +02:00, +0200 or +02.
func parseOffset(text string) (time.Duration, bool) {
	if text == "Z" || text == "z" {
		return 0, true
	}
	if text == "" || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	hours, rest, ok := digits(text[1:], 2)
	minutes := 0
	if ok && rest != "" {
		minutes, rest, ok = digits(strings.TrimPrefix(rest, ":"), 2)
	}
	if !ok || rest != "" || hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// digits parses a number of exactly "width" digits at the beginning of a text. It also returns the remaining text.
func digits(text string, width int) (n int, rest string, ok bool) {
	if len(text) < width {
		return 0, "", false
	}
	for _, c := range []byte(text[:width]) {
		if c < '0' || c > '9' {
			return 0, "", false
		}
		n = 10*n + int(c-'0')
	}
	return n, text[width:], true
}
