package infer

import (
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/pattern"
)

// timeForm is a format of times. Its value is the jq expression that reads such a time.
type timeForm string

// The formats of times.
const (
	noTime     timeForm = ""
	rfc3339    timeForm = "timestamp"
	zoneless   timeForm = `. + "Z" | timestamp`
	minutes    timeForm = `. + ":00Z" | timestamp`
	minutesZ   timeForm = `sub("Z$"; ":00Z") | timestamp`
	dateOnly   timeForm = `. + "T00:00:00Z" | timestamp`
	httpDate   timeForm = `strptime("%a, %d %b %Y %H:%M:%S GMT") | mktime`
	mailDate   timeForm = `strptime("%a, %d %b %Y %H:%M:%S %z") | mktime`
	unix       timeForm = "."
	unixMillis timeForm = ". / 1000"
	unixMicros timeForm = ". / 1000000"
	unixNanos  timeForm = ". / 1000000000"
)

// of returns a jq expression that converts the time at the given path to Unix seconds.
func (f timeForm) of(path string) string {
	switch f {
	case unix:
		return path
	case unixMillis, unixMicros, unixNanos:
		return "(" + path + strings.TrimPrefix(string(f), ".") + ")"
	case zoneless, minutes, dateOnly:
		return "(" + path + strings.TrimPrefix(string(f), ".") + ")"
	}
	return "(" + path + " | " + string(f) + ")"
}

// textTime parses a text as a time, and returns the time and the format of the text.
func textTime(text string) (time.Time, timeForm) {
	if len(text) < 10 || len(text) > 40 {
		return time.Time{}, noTime
	}
	if t, err := jq.ParseTime(text); err == nil {
		return t, rfc3339
	}
	for _, try := range []struct {
		suffix string
		form   timeForm
		length int
	}{{"Z", zoneless, 0}, {":00Z", minutes, len("2006-01-02T15:04")}, {"T00:00:00Z", dateOnly, len("2006-01-02")}} {
		if try.length > 0 && len(text) != try.length {
			continue
		}
		if t, err := jq.ParseTime(text + try.suffix); err == nil {
			return t, try.form
		}
	}
	if whole, ok := strings.CutSuffix(text, "Z"); ok && len(text) == len("2006-01-02T15:04Z") {
		if t, err := jq.ParseTime(whole + ":00Z"); err == nil {
			return t, minutesZ
		}
	}
	if t, err := time.Parse(time.RFC1123, text); err == nil && strings.HasSuffix(text, "GMT") {
		return t, httpDate
	}
	if t, err := time.Parse(time.RFC1123Z, text); err == nil {
		return t, mailDate
	}
	return time.Time{}, noTime
}

// numberTime interprets a number as a Unix time, and returns the time and its format. The size of the number decides whether
// it is in seconds, milliseconds and so on. Only times from 2000 to 2100 are accepted.
func numberTime(n float64) (time.Time, timeForm) {
	const from, to = 946684800, 4102444800
	for _, try := range []struct {
		per  float64
		form timeForm
	}{{1, unix}, {1e3, unixMillis}, {1e6, unixMicros}, {1e9, unixNanos}} {
		if n >= from*try.per && n < to*try.per {
			return time.UnixMilli(int64(n / try.per * 1000)).UTC(), try.form
		}
	}
	return time.Time{}, noTime
}

// namesTime reports whether w, the words of a key, say that its value is a time.
func namesTime(w []string) bool {
	if len(w) == 0 {
		return false
	}
	last := w[len(w)-1]
	if len(w) > 1 && last == "of" && w[len(w)-2] == "as" {
		return true
	}
	return has([]string{last}, "unixtime", "at", "on", "time", "timestamp", "ts", "date", "datetime", "epoch", "dt", "created", "updated", "modified", "started", "finished", "ended", "begin", "begins",
		"expires", "expiry", "expiration", "since", "until", "seen", "start", "end", "from", "to", "closed", "opened", "resolved", "completed", "deadline", "due", "heartbeat", "checkin", "after", "before", "sunrise", "sunset", "utc", "published", "lastrun", "timems", "millis", "unix", "generated", "mtime", "ctime", "sync", "boot", "check") ||
		has(w, "timestamp", "created", "updated", "epoch", "expires", "datetime") || w[0] == "last" && last != "count" || last == "ms" && has(w, "time", "timestamp", "at")
}

var (
	looksURL  = pattern.OnUse(`^[a-z][a-z0-9+.-]*://|^(mailto|data|urn|arn|git@|www\.)|^/[^ ]*/|^[^ @]+@[^ @]+\.[a-z]+$`)
	looksIP   = pattern.OnUse(`^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]+)?$|^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){3,7}$`)
	looksUUID = pattern.OnUse(`(?i)^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$`)
	looksHash = pattern.OnUse(`^(sha[0-9]*:)?([0-9a-f]{7,}|[0-9A-F]{16,})$`)
	longDigit = pattern.OnUse(`[0-9]{6,}`)
	amount    = pattern.OnUse(`^\s*([$€£¥]?)\s*([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|[-+]?\.[0-9]+)\s*([^\s0-9.,:;/-][^0-9:,;]{0,11})?$`)
	spans     = pattern.OnUse(`^(?:[0-9]+(?:\.[0-9]+)?\s*(?:days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)[\s,]*)+$`)
	elapsed   = pattern.OnUse(`(?i)\b[0-9]+ (?:second|minute|hour|day|week|month|year)s?\b|\babout an? (?:minute|hour)\b`)
	random    = pattern.OnUse(`^[A-Za-z]{1,8}[_-][A-Za-z0-9]{10,}$|^[A-Za-z0-9_-]{20,}$`)
)

// isRandom reports whether a text looks like an id made by a program.
func isRandom(text string) bool {
	mixed := strings.ContainsAny(text, "0123456789") && strings.IndexFunc(text, func(r rune) bool { return r >= 'A' && r <= 'z' }) >= 0
	return looksUUID().MatchString(text) || looksHash().MatchString(text) && strings.ContainsAny(text, "0123456789") ||
		longDigit().MatchString(text) || mixed && random().MatchString(text)
}

// isNone reports whether a text means that there is no value.
func isNone(text string) bool {
	return has([]string{strings.ToLower(strings.TrimSpace(text))}, "", "-", "--", "n/a", "na", "none", "null", "nil", "nan", "unknown", "unavailable", "?")
}

// isNumber reports whether a text is a number. An id or a version can look like a number; texts with leading zeros are not
// numbers.
func isNumber(text string) bool {
	_, ok := document.ParseNumber(text)
	digits := strings.TrimPrefix(text, "-")
	return ok && !(len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e')
}
