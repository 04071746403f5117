package jq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// maxLayout is the maximum length of a time format in bytes.
const maxLayout = 100

// unixMilli is the time_format for numbers that are Unix milliseconds.
const unixMilli = "unix_ms"

// TimeFormat is a format of times: unix_ms, or a layout of package time. "" = RFC 3339 or Unix seconds.
type TimeFormat string

// UnmarshalText checks that the format contains year, month and day.
func (f *TimeFormat) UnmarshalText(text []byte) error {
	*f = TimeFormat(text)
	if *f == "" || *f == unixMilli {
		return nil
	}
	day := time.Date(2019, time.November, 23, 0, 0, 0, 0, time.UTC)
	back, err := time.Parse(string(*f), day.Format(string(*f)))
	switch {
	case strings.Contains(string(*f), "%"):
		return errors.New("want unix_ms, or a layout such as 2006-01-02 15:04:05; to parse a format with %, write time: strptime(…) | mktime")
	case strings.Contains(string(*f), "MST"):
		return errors.New("zone names are ambiguous: remove MST, and use -0700 if the strings have an offset")
	case len(text) > maxLayout || err != nil || !back.Truncate(24*time.Hour).Equal(day):
		return errors.New("want unix_ms, or a layout with year, month and day, such as 2006-01-02 15:04:05")
	}
	return nil
}

// hasZone reports whether texts in this format contain an offset.
func (f TimeFormat) hasZone() bool {
	return f == "" || f == unixMilli || strings.Contains(string(f), "-07") || strings.Contains(string(f), "Z07")
}

// Zone is the time zone of texts without an offset.
type Zone struct{ *time.Location }

// UnmarshalText parses a name in the time zone database, or UTC.
func (z *Zone) UnmarshalText(text []byte) error {
	if name := string(text); name != "" && name != "Local" {
		if location, err := time.LoadLocation(name); err == nil {
			z.Location = location
			return nil
		}
	}
	return errors.New(`want a name such as "Europe/Oslo", or "UTC"`)
}

func (m *Metric) validateTime() error {
	if m.Time == nil {
		return errors.Join(
			onlyIf(m.TimeFormat == "", "time_format", "is only valid with time"),
			onlyIf(m.TimeZone.Location == nil, "time_zone", "is only valid with time"))
	}
	const why = "is only valid for a gauge without delta, or a counter with from: total: %s"
	var problem error
	switch {
	case m.Type == metric.Gauge && m.Delta:
		problem = setting.Errorf("time", why, "the change since the last run always gets the time of the run")
	case m.Type == metric.Gauge && m.From == metric.Increment, m.Type == metric.Counter && (m.From != metric.Total || m.OnceBy != nil):
		problem = setting.Errorf("time", why, "what the agent adds up always gets the time of the run")
	case m.Type == metric.Histogram || m.Type == metric.Summary:
		problem = setting.Errorf("time", why, "what the agent observes always gets the time of the run")
	}
	return errors.Join(problem, onlyIf(m.TimeZone.Location == nil || !m.TimeFormat.hasZone(), "time_zone",
		"is only valid with a time_format without an offset, such as 2006-01-02 15:04:05"))
}

// onlyIf returns nil if "ok" is true. Otherwise, it returns an error with the path and the problem of a setting.
func onlyIf(ok bool, path, problem string) error {
	if ok {
		return nil
	}
	return setting.Errorf(path, "%s", problem)
}

// window is the window of a tick in Unix milliseconds.
type window struct{ start, end int64 }

func windowOf(t sources.Tick) window { return window{t.Start.UnixMilli(), t.End.UnixMilli()} }

// ownTime sets the timestamp of a reading.
func (m *Metric) ownTime(ctx context.Context, on *evaluator, in *item, w window, row *metric.Reading) *itemProblem {
	if m.Time.text == "$end" { // it has the same value for every item
		row.Time = w.end
		return nil
	}
	v, err := m.Time.evalOne(ctx, on, in)
	if err != nil {
		return &itemProblem{metric.Expression, fmt.Sprintf("time %s: %v", m.Time, err), nil}
	}
	if v.isNull() {
		return &itemProblem{metric.Missing, fmt.Sprintf("time %s is missing", m.Time), nil}
	}
	if isNever(v) {
		return &itemProblem{metric.Missing, fmt.Sprintf("time %s is %s, which means never", m.Time, v.preview()), nil}
	}
	var second time.Time
	if row.Time, second, err = m.readTimes(v); err != nil {
		return &itemProblem{metric.NotTime, fmt.Sprintf("time %s: %v", m.Time, err), nil}
	}
	if !second.IsZero() {
		on.twice = &localTime{first: time.UnixMilli(row.Time), second: second}
	}
	return nil
}

// isNever reports whether a value is one that some APIs write if there is no time.
func isNever(v value) bool {
	text, ok := v.label()
	n, isNumber := v.number()
	return ok && text != "false" && (isNumber && n == 0 || jq.IsNever(text))
}

// seconds returns Unix milliseconds in seconds, as a value of gojq.
func seconds(milli int64) any { return float64(milli) / 1000 }

// maxTime is the end of the year 9999, the last year in RFC 3339, in Unix milliseconds.
const maxTime = 253402300799999

// readTime converts a value to a time in Unix milliseconds.
func (m *Metric) readTime(v value) (int64, error) {
	at, _, err := m.readTimes(v)
	return at, err
}

// readTimes converts a value to a time. If the local time occurs twice, "at" is its first time and "second" is its second time.
func (m *Metric) readTimes(v value) (at int64, second time.Time, err error) {
	text, ok := v.label()
	if !ok || text == "true" || text == "false" {
		return 0, second, fmt.Errorf("want a time, got %s", v.preview())
	}
	number, isNumber := v.number()
	switch {
	case m.TimeFormat == unixMilli && isNumber:
		at, err = checkTime(number, text, "Unix milliseconds")
		return at, second, err
	case m.TimeFormat == "" && isNumber:
		at, err = checkTime(number*1000, text, "Unix seconds: for milliseconds set time_format: unix_ms")
		return at, second, err
	case m.TimeFormat == unixMilli:
		return 0, second, fmt.Errorf("want Unix milliseconds, got %.40q", text)
	}
	t, err := m.parseTime(text)
	switch {
	case err != nil && m.TimeFormat == "":
		return 0, second, fmt.Errorf("%.40q is neither an RFC 3339 time, such as 2006-01-02T15:04:05Z, nor Unix seconds: set time_format to its layout", text)
	case err != nil:
		return 0, second, fmt.Errorf("%.40q does not match the time_format %q", text, m.TimeFormat)
	}
	if m.TimeZone.Location != nil {
		first, other, twice := sources.Twice(t)
		if t = first; twice {
			second = other
		}
	}
	at, err = checkTime(float64(t.UnixMilli()), text, "a year from 1970 to 9999")
	return at, second, err
}

func (m *Metric) parseTime(text string) (time.Time, error) {
	switch {
	case m.TimeFormat == "":
		return jq.ParseTime(text)
	case m.TimeZone.Location == nil:
		return time.Parse(string(m.TimeFormat), text)
	}
	return time.ParseInLocation(string(m.TimeFormat), text, m.TimeZone.Location)
}

// checkTime returns an error for times that a sample cannot have. Zero is also an error, since it usually means that there is no
// time.
func checkTime(milli float64, text, want string) (int64, error) {
	if !(milli >= 1 && milli <= maxTime) {
		return 0, fmt.Errorf("%.40s is not a time in %s", text, want)
	}
	return int64(math.Round(milli)), nil
}
