// Package template puts a tick's times into texts of a fetcher's settings: {{ rfc3339 .Window.Start }}.
package template

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"text/template"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// maxTemplate bounds what a template may give, in bytes.
const maxTemplate = 64 << 10

var (
	errNoValue  = errors.New("there are .Window.Start, .Window.End and .Now")
	errNoFunc   = errors.New("there are rfc3339, unix, unixms, date, before and truncate")
	errNotATime = errors.New("wants a time: .Window.Start, .Window.End or .Now")
	errTooLong  = fmt.Errorf("gives more than %d KiB", maxTemplate>>10)
)

// values is what a template can use of a tick.
type values struct {
	Window struct{ Start, End moment }
	Now    moment
}

func valuesOf(tick sources.Tick) (v values) {
	zone := tick.Zone
	if zone == nil {
		zone = time.UTC
	}
	v.Window.Start, v.Window.End, v.Now = moment{tick.Start.In(zone)}, moment{tick.End.In(zone)}, moment{tick.Time.In(zone)}
	return v
}

// moment is a time, in the zone of its tick's dates, that reads as in RFC 3339, in UTC and whole seconds. Start and end of
// neighbouring windows are cut alike, so that nothing falls between them.
type moment struct{ time time.Time }

func (m moment) String() string { return m.time.UTC().Format(time.RFC3339) }

func functions() template.FuncMap {
	ofTime := func(f func(time.Time) string) func(any) (string, error) {
		return func(arg any) (string, error) {
			m, ok := arg.(moment)
			if !ok {
				return "", errNotATime
			}
			return f(m.time), nil
		}
	}
	return template.FuncMap{
		"rfc3339": ofTime(func(t time.Time) string { return moment{t}.String() }),
		"unix":    ofTime(func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }),
		"unixms":  ofTime(func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }),
		"date": func(layout string, arg any) (string, error) {
			return ofTime(func(t time.Time) string { return t.Format(layout) })(arg)
		},
		"before":   ofSpan(func(t time.Time, d time.Duration) (time.Time, error) { return t.Add(-d), nil }),
		"truncate": ofSpan(truncate),
	}
}

// ofSpan is a function of a span and a time.
func ofSpan(f func(time.Time, time.Duration) (time.Time, error)) func(string, any) (moment, error) {
	return func(span string, arg any) (moment, error) {
		var d setting.Duration
		if err := d.UnmarshalText([]byte(span)); err != nil {
			return moment{}, err
		}
		m, ok := arg.(moment)
		if !ok {
			return moment{}, errNotATime
		}
		t, err := f(m.time, time.Duration(d))
		return moment{t}, err
	}
}

// truncate is the last multiple of a span, counted from a Monday at midnight: in UTC, and whole days in the time's own zone.
func truncate(t time.Time, span time.Duration) (time.Time, error) {
	if span <= 0 {
		return t, errors.New("want more than 0")
	}
	if span%(24*time.Hour) != 0 {
		return t.Truncate(span), nil
	}
	year, month, day := t.Date()
	year, month, day = time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Truncate(span).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, t.Location()), nil
}

// Template is a text to fill in for each tick.
type Template struct{ tree *template.Template }

// Parse compiles a template and tries it, so that filling it in later fails only if its result grows too long. What
// templates may do is small on purpose: put a time into a text.
func Parse(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, errTooLong
	}
	t, err := template.New("").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, parseError(err)
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("a template is text with values in {{ }}: no define or block")
	}
	filled := &Template{t}
	if t.Tree == nil {
		return filled, nil
	}
	if err := allowed(t.Tree.Root); err != nil {
		return nil, err
	}
	sample := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, err := filled.Execute(sources.Tick{Time: sample, Start: sample, End: sample}); err != nil {
		return nil, err
	}
	return filled, nil
}

// Varies tells whether the text differs from window to window.
func (t *Template) Varies() bool {
	one := time.Date(2011, 1, 12, 3, 14, 15, 0, time.UTC)
	two := one.AddDate(11, 11, 11).Add(11*time.Hour + 11*time.Minute + 11*time.Second)
	a, err := t.Execute(sources.Tick{Time: one, Start: one, End: one})
	if err != nil {
		return false
	}
	b, err := t.Execute(sources.Tick{Time: two, Start: two, End: two})
	return err == nil && a != b
}

// Execute fills the template in for a tick.
func (t *Template) Execute(tick sources.Tick) (string, error) {
	var out bounded
	if err := t.tree.Execute(&out, valuesOf(tick)); err != nil {
		return "", runError(err)
	}
	return out.String(), nil
}

type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
