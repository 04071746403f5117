// Package template fills times of a tick into the settings of fetchers, such as {{ rfc3339 .Window.Start }}.
package template

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// maxTemplate is the maximum size of a template and of its result, in bytes.
const maxTemplate = 64 << 10

// ErrNoValue says which values a template has.
var ErrNoValue = errors.New("there are .Window.Start, .Window.End and .Now")

// ErrDefine is the error for a text that defines other templates.
var ErrDefine = errors.New("a template is text with values in {{ }}: no define or block")

var (
	errNoFunc   = errors.New("there are rfc3339, unix, unixms, date, before and truncate")
	errNotATime = errors.New("wants a time: .Window.Start, .Window.End or .Now")
	errTooLong  = fmt.Errorf("gives more than %d KiB", maxTemplate>>10)
)

// values is the data of a template.
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

// Values returns the times of a tick by the names that a template has for them, such as Window.Start. The functions of [Functions]
// take them as arguments.
func Values(tick sources.Tick) map[string]any {
	v := valuesOf(tick)
	return map[string]any{"Window.Start": v.Window.Start, "Window.End": v.Window.End, "Now": v.Now}
}

// moment is a time in the time zone of the tick. Its text is in the format of RFC 3339, in UTC and truncated to seconds. The end of a
// window and the start of the next window are truncated in the same way, so that there is no gap between them.
type moment struct{ time time.Time }

func (m moment) String() string { return m.time.UTC().Format(time.RFC3339) }

// Functions returns the functions of times, by name.
func Functions() template.FuncMap {
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

// ofSpan returns a template function whose arguments are a duration and a time.
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

// truncate rounds a time down to a multiple of span, counted from a Monday at midnight. It counts in UTC. If the span is a number of whole
// days, it counts in the zone of the time instead.
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

// Template is a compiled text into which times of a tick are filled.
type Template struct{ tree *template.Template }

// Parse compiles a template and executes it once, so that errors of the template are found at once. Later executions fail only if the
// result is too long. Templates can only insert times into a text.
func Parse(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, errTooLong
	}
	t, err := template.New("").Funcs(Functions()).Parse(text)
	if err != nil {
		return nil, parseError(err)
	}
	if len(t.Templates()) > 1 {
		return nil, ErrDefine
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

// Varies reports whether the text depends on the tick. It compares the texts for two ticks.
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

// Execute returns the text for a tick.
func (t *Template) Execute(tick sources.Tick) (string, error) {
	var out bounded
	if err := t.tree.Execute(&out, valuesOf(tick)); err != nil {
		return "", runError(err)
	}
	return out.String(), nil
}

// bounded is a buffer of at most maxTemplate bytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// allowed returns an error if a node must not be in a template. A template may contain text, the values of valuesOf and the functions
// of this package.
func allowed(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		return allAllowed(n.Nodes)
	case *parse.ActionNode:
		return allowed(n.Pipe)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("variables are not allowed in a template")
		}
		return allAllowed(n.Cmds)
	case *parse.CommandNode:
		return allAllowed(n.Args)
	case *parse.FieldNode:
		name := "." + strings.Join(n.Ident, ".")
		if name != ".Window.Start" && name != ".Window.End" && name != ".Now" {
			return fmt.Errorf("no value %s: %w", name, ErrNoValue)
		}
	case *parse.IdentifierNode:
		if _, ours := Functions()[n.Ident]; !ours {
			return fmt.Errorf("no function %s: %w", n.Ident, errNoFunc)
		}
	case *parse.TextNode, *parse.StringNode, *parse.CommentNode:
	default:
		return fmt.Errorf("%s is not allowed in a template: %w", node, ErrNoValue)
	}
	return nil
}

func allAllowed[N parse.Node](nodes []N) error {
	for _, n := range nodes {
		if err := allowed(n); err != nil {
			return err
		}
	}
	return nil
}

// parseError removes the prefix "template: :1: " of text/template from an error.
func parseError(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: :")
	if line, rest, found := strings.Cut(text, ": "); found {
		if _, err := strconv.Atoi(line); err == nil {
			text = rest
		}
	}
	if strings.HasPrefix(text, "function ") {
		return fmt.Errorf("%s: %w", text, errNoFunc)
	}
	return errors.New(text)
}

// runError returns the last part of an error of text/template, which is the error of a function of this package.
func runError(err error) error {
	if errors.Is(err, errTooLong) {
		return errTooLong
	}
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+len(">: "):]
	}
	return errors.New(strings.TrimPrefix(text, "error calling "))
}
