package agent_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/goclass"
)

// kind is a kind of the catalogue, for tests of all of them.
type kind struct {
	name, example string
	defaults      func() any // new settings
	suite         string     // the suite that its tests call
}

// catalogueKinds returns every kind of the catalogue, and the kind goclass, which is not in the catalogue because users add it.
func catalogueKinds() []kind {
	c := agent.Catalogue()
	var all []kind
	for _, k := range c.Fetchers {
		all = append(all, kind{k.Name, k.Example, func() any { return k.Defaults() }, "sourcetest.RunFetcher"})
	}
	nop := goclass.Method{Measure: func(context.Context, *goclass.Tick) ([]goclass.Reading, error) { return nil, nil }}
	own := goclass.Kind("class", goclass.Methods{"incidents": nop, "queue_change": nop, "resolution_seconds": nop, "acknowledge_seconds": nop})
	for _, k := range append(c.Sources, own) {
		all = append(all, kind{k.Name, k.Example, func() any { return k.Defaults() }, "sourcetest.Run"})
	}
	for _, k := range c.Sinks {
		all = append(all, kind{k.Name, k.Example, func() any { return k.Defaults() }, "sinktest.Run"})
	}
	return all
}

// TestCatalogueSuites checks that the tests of each kind call the test suite for the role of that kind.
func TestCatalogueSuites(t *testing.T) {
	for _, k := range catalogueKinds() {
		of := reflect.TypeOf(k.defaults()).Elem()
		folder, ours := strings.CutPrefix(of.PkgPath(), module)
		if !ours {
			t.Errorf("%s: the settings are a %v, want a type of the kind's own package", k.name, of)
			continue
		}
		if calls := suiteCalls(t, filepath.Join("..", filepath.FromSlash(folder))); !slices.Contains(calls, k.suite) {
			t.Errorf("%s: no test in %s calls %s", k.name, folder, k.suite)
		}
	}
	if calls := suiteCalls(t, filepath.Join("..", "sinks", "print")); !slices.Equal(calls, []string{"sinktest.Run"}) {
		t.Errorf("the tests of sinks/print call %q", calls)
	}
	if calls := suiteCalls(t, filepath.Join("..", "sources", "fetch", "template")); calls != nil {
		t.Errorf("the tests of sources/fetch/template, which is no kind, call %q", calls)
	}
}

// suiteCalls returns the names of the suites' functions that the tests in a folder call.
func suiteCalls(t *testing.T, folder string) (calls []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if of, ok := call.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := of.X.(*ast.Ident); ok && (pkg.Name == "sourcetest" || pkg.Name == "sinktest") && strings.HasPrefix(of.Sel.Name, "Run") {
					calls = append(calls, pkg.Name+"."+of.Sel.Name)
				}
			}
			return true
		})
	}
	return calls
}

// TestCatalogueRefuses checks that the catalogue refuses two kinds: one that cannot be found by its name, and one that cannot be made.
func TestCatalogueRefuses(t *testing.T) {
	defaults := func() sinks.Config { return nil }
	for _, c := range []struct {
		kind any
		want string
	}{
		{sinks.Kind{Name: "own", Defaults: defaults}, ""},
		{sinks.Kind{Defaults: defaults}, "add a kind: it has no name"},
		{sinks.Kind{Name: "own"}, `add the kind "own": it has no Defaults`},
		{sinks.Kind{Name: "http", Defaults: defaults}, `add the kind "http": the catalogue has a kind of this name: choose another`},
		{sources.Kind[sources.Fetcher]{Name: "print"}, `add the kind "print": it has no Defaults`},
		{sinks.Kind{Name: "timeout", Defaults: defaults}, `add the kind "timeout": the name is reserved: choose another`},
		{sources.Kind[int]{Name: "own"}, "add a kind of type sources.Kind[int]: want a kind of fetcher, source or sink"},
	} {
		catalogue := agent.Catalogue()
		got := ""
		if err := catalogue.Add(c.kind); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.kind, got, c.want)
		}
		if added := len(catalogue.Names()) - len(catalogueKinds()) + 1; (added == 1) != (c.want == "") {
			t.Errorf("%+v: %d kinds were added", c.kind, added)
		}
	}
}

// TestMainRefuses checks that Main does not start with a kind that is refused.
func TestMainRefuses(t *testing.T) {
	if code := agent.Main(agent.Catalogue().Sinks[0]); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// TestLabels checks that a job can have labels whatever its source is.
func TestLabels(t *testing.T) {
	for _, k := range catalogueKinds() {
		if _, ok := k.defaults().(sources.Labeler); !ok && k.suite == "sourcetest.Run" {
			t.Errorf("%s cannot add labels to its metrics: remove this setting", k.name)
		}
	}
}

// TestExamples checks that the example of every kind decodes strictly, is valid, names every setting, and shows the default of each
// setting that has one.
func TestExamples(t *testing.T) {
	for _, k := range catalogueKinds() {
		t.Run(k.name, func(t *testing.T) { checkExample(t, k.example, k.defaults) })
	}
	t.Run("auth", func(t *testing.T) { checkExample(t, auth.Example(), func() any { return &auth.Settings{} }) })
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

// checkDefaults checks that the example shows the default of each setting. It skips settings without a default and settings that are marked
// as required.
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

// tags returns the names of all settings of a type, including those of nested settings.
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
