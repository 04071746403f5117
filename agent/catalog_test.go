package agent_test

import (
	"context"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/sources/compute/goclass"
)

// TestExamples holds every kind's example against its settings: it decodes strictly, passes the kind's own check, names
// every setting, and stands at the defaults wherever there is one.
func TestExamples(t *testing.T) {
	c := agent.Catalogue()
	for _, k := range c.Fetchers {
		t.Run(k.Name, func(t *testing.T) { checkExample(t, k.Example, func() any { return k.Defaults() }) })
	}
	for _, k := range c.Sources {
		t.Run(k.Name, func(t *testing.T) { checkExample(t, k.Example, func() any { return k.Defaults() }) })
	}
	nop := goclass.Method{Measure: func(context.Context, *goclass.Tick) ([]goclass.Reading, error) { return nil, nil }}
	own := goclass.Kind("class", goclass.Methods{"incidents": nop, "queue_change": nop, "resolution_seconds": nop, "acknowledge_seconds": nop})
	t.Run(own.Name, func(t *testing.T) { checkExample(t, own.Example, func() any { return own.Defaults() }) })
	t.Run("auth", func(t *testing.T) { checkExample(t, auth.Example(), func() any { return &auth.Settings{} }) })
	for _, k := range c.Sinks {
		t.Run(k.Name, func(t *testing.T) { checkExample(t, k.Example, func() any { return k.Defaults() }) })
	}
}

func checkExample(t *testing.T, example string, defaults func() any) {
	into := defaults()
	if err := yaml.Load([]byte(example), into, yaml.WithKnownFields()); err != nil {
		t.Fatalf("example.yaml: %v", err)
	}
	if err := into.(interface{ Validate() error }).Validate(); err != nil {
		t.Errorf("example.yaml is refused by its own check: %v", err)
	}
	if !strings.HasPrefix(example, "# ") {
		t.Error("example.yaml does not begin with a line that says what the kind is for")
	}
	for _, tag := range tags(reflect.TypeOf(into).Elem(), nil) {
		// A section that is off by default has its settings in comments.
		if !regexp.MustCompile(`(?m)(^|[\s{#])`+tag+`:`).MatchString(example) && !strings.Contains(example, tag+", ") {
			t.Errorf("example.yaml does not name the setting %s", tag)
		}
	}
	if reflect.TypeOf(into).Elem().Kind() == reflect.Struct {
		checkDefaults(t, example, reflect.ValueOf(into).Elem(), reflect.ValueOf(defaults()).Elem())
	}
}

// checkDefaults holds each setting that is not marked as required, and that has a default, against it.
func checkDefaults(t *testing.T, example string, got, want reflect.Value) {
	for f := range got.Type().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || want.FieldByIndex(f.Index).IsZero() {
			continue
		}
		a, b := got.FieldByIndex(f.Index).Interface(), want.FieldByIndex(f.Index).Interface()
		if !cmp.Equal(a, b) {
			t.Errorf("example.yaml has %s at %v; its default is %v", name, a, b)
		}
	}
}

// tags are the names of all settings of a type, those of settings within it included.
func tags(t reflect.Type, seen []reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, s := range seen {
		if s == t {
			return nil
		}
	}
	var all []string
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		name, _, _ := strings.Cut(tag, ",")
		if tag == "" || tag == "-" {
			continue
		}
		if name != "" {
			all = append(all, name)
		}
		all = append(all, tags(f.Type, append(seen, t))...)
	}
	return all
}
