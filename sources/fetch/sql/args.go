package sql

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// argument is the value of a placeholder in the query.
type argument struct {
	value any                // nil, bool, int64, float64, string or time.Time
	ref   setting.Secret     // the reference to the value, or ""
	text  *template.Template // the template that makes the value, or nil
	kind  kind               // type of the value that text makes
}

// kind is the type of the value that a template makes.
type kind int

const (
	aText kind = iota
	aTime
	anInteger
)

// newArgument returns an argument for a value in the configuration file.
func newArgument(value any) (argument, error) {
	switch v := value.(type) {
	case nil, bool, int64, time.Time:
		return argument{value: v}, nil
	case int:
		return argument{value: int64(v)}, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return argument{}, errors.New("want a finite number")
		}
		return argument{value: v}, nil
	case string:
		switch l := setting.FindLookalike(v); {
		case setting.IsReference(v):
			return argument{ref: setting.Secret(v)}, nil
		case setting.Text(v).HasSecret():
			return argument{}, errors.New(`want a reference as the whole value: "env:NAME"`)
		case l != nil:
			return argument{}, errors.New(l.Whole())
		}
		if !strings.Contains(v, "{{") {
			return argument{value: v}, nil
		}
		t, err := template.Parse(v)
		return argument{text: t, kind: kindOf(v)}, err
	}
	return argument{}, errors.New("want a string, a number of at most 64 bits, true, false or null")
}

// kindOf returns the type of the value that a template makes: a time if the template is only a time, an integer for unix and
// unixms, and otherwise a text.
func kindOf(text string) kind {
	inner, left := strings.CutPrefix(strings.TrimSpace(text), "{{")
	inner, right := strings.CutSuffix(inner, "}}")
	if !left || !right || strings.Contains(inner, "{{") || strings.Contains(inner, "rfc3339") || strings.Contains(inner, "date") {
		return aText
	}
	if strings.Contains(inner, "unix") {
		return anInteger
	}
	return aTime
}

// at returns the value of the argument in a tick: nil, bool, int64, float64, string, or time.Time in whole seconds.
func (a argument) at(tick sources.Tick, secrets *setting.SecretStore) (any, error) {
	if a.ref != "" {
		return secrets.Text(setting.Text(a.ref))
	}
	if a.text == nil {
		return a.value, nil
	}
	text, err := a.text.Execute(tick)
	if err != nil {
		return nil, err
	}
	switch text := strings.TrimSpace(text); a.kind {
	case aTime:
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t, nil
		}
	case anInteger:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	return text, nil
}

// values returns the values of all arguments in a tick.
func (f *fetcher) values(tick sources.Tick) ([]any, error) {
	var all []any
	for i, a := range f.args {
		value, err := a.at(tick, f.secrets)
		if err != nil {
			return nil, fmt.Errorf("args.%d: %w", i, err)
		}
		all = append(all, value)
	}
	return all, nil
}

// written converts a value to text. It is for messages and for PostgreSQL.
func written(value any) string {
	switch v := value.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(value)
}
