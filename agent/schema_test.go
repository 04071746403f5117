package agent_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/deploy/examples"
)

// newSchema compiles the schema of the catalogue.
func newSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	catalogue := agent.Catalogue()
	text, err := catalogue.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("cton.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("cton.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate validates the YAML of a configuration.
func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Load([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return schema.Validate(jsonValue(v))
}

// jsonValue converts a value that was read from YAML. The result is the same as if the value had been read from JSON, where all keys are
// strings.
func jsonValue(v any) any {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Map:
		all := map[string]any{}
		for _, k := range r.MapKeys() {
			all[fmt.Sprint(k.Interface())] = jsonValue(r.MapIndex(k).Interface())
		}
		return all
	case reflect.Slice:
		all := []any{}
		for i := range r.Len() {
			all = append(all, jsonValue(r.Index(i).Interface()))
		}
		return all
	case reflect.Struct: // a time
		return fmt.Sprint(v)
	}
	return v
}

// TestSchemaAccepts checks that the schema accepts each configuration that the agent accepts. It tries the configurations of the examples
// and of all stories.
func TestSchemaAccepts(t *testing.T) {
	schema, catalogue, accepted := newSchema(t), agent.Catalogue(), 0
	check := func(name, text string) {
		if _, err := config.Load("cton.yaml", []byte(text), catalogue); err != nil {
			return
		}
		accepted++
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	check("the demo", examples.Demo("http://127.0.0.1:1", ":8000"))
	check("the example of a job", config.Example())
	for _, root := range []string{"testdata", "../deploy/examples"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			archive := txtar.Parse(text)
			if strings.HasSuffix(path, ".yaml") {
				archive.Files = []txtar.File{{Name: path, Data: text}}
			}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".yaml") {
					text := strings.NewReplacer("$API", "http://a", "$PAGES", "http://a", "$HOST", "a:1", "$OTHER", "http://a", "$AUTH", "http://a", "$PLUG1", "http://a", "$PLUG2", "http://b").Replace(string(f.Data))
					check(path+" "+f.Name, text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if accepted < 150 {
		t.Errorf("only %d configurations", accepted)
	}
	for _, k := range catalogueKinds() {
		text := "jobs: {a: {" + k.name + ": {x: 1}}}"
		if k.suite == "sinktest.Run" {
			text = "sinks: {a: {" + k.name + ": {x: 1}}}"
		}
		if err := validate(t, schema, text); k.name != "class" && err == nil {
			t.Errorf("%s: an unknown setting is accepted", k.name)
		}
	}
}

// TestSchemaRefuses checks that the schema refuses what an editor should mark as wrong, at the place where it is.
func TestSchemaRefuses(t *testing.T) {
	schema := newSchema(t)
	const good = `{external_labels: {site: oslo}, x-a: 1, include: [a.yaml], defaults: {timeout: 5s, http: {method: POST}}, ` +
		`sinks: {page: {expose: {}}, rw: {remote_write: {url: "https://a", protocol: 2.0, spool: {max_bytes: 1GiB, max_age: 1w2d}}}}, ` +
		`auth: {a: {headers: {X: y}}}, jobs: {a: {schedule: "@every 60s", window: null, http: {url: "https://a", basic_auth: {username: a, password: "env:P"}}, ` +
		`metrics: {a: {type: gauge, value: 1, missing: zero, remember: 1h30m}}}}}`
	if err := validate(t, schema, good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, at string }{
		{"x-a: 1", "xa: 1", "''"},
		{"timeout: 5s", "timeout: soon", "/defaults/timeout"},
		{"timeout: 5s", "timeout: 5", "/defaults/timeout"},
		{"timeout: 5s", "metrics: {}", "/defaults"},
		{"include: [a.yaml]", "include: a.yaml", "/include"},
		{"expose: {}", "expose: {lisen: a}", "/sinks/page/expose"},
		{"expose: {}", "expose: {}, print: {}", "/sinks/page"},
		{"expose: {}", "", "/sinks/page"},
		{`url: "https://a", protocol`, "protocol", "/sinks/rw/remote_write"},
		{`url: "https://a", protocol`, "url: /a, protocol", "/sinks/rw/remote_write/url"},
		{"2.0", "3.0", "/sinks/rw/remote_write/protocol"},
		{"1GiB", "much", "/sinks/rw/remote_write/spool/max_bytes"},
		{"1w2d", "1d2w", "/sinks/rw/remote_write/spool/max_age"},
		{`"env:P"`, "hunter2", "/jobs/a/http/basic_auth/password"},
		{"gauge", "guage", "/jobs/a/metrics/a/type"},
		{"type: gauge, ", "", "/jobs/a/metrics/a"},
		{"zero", "null0", "/jobs/a/metrics/a/missing"},
		{"schedule", "shedule", "/jobs/a"},
		{"{X: y}", "[X]", "/auth/a/headers"},
	} {
		err := validate(t, schema, strings.Replace(good, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), "at '"+strings.Trim(c.at, "'")+"'") {
			t.Errorf("%s for %s: %v", c.new, c.old, err)
		}
	}
}

// TestEnums checks the settings that list their possible values. They accept exactly the listed values.
func TestEnums(t *testing.T) {
	found := map[reflect.Type]bool{}
	var walk func(of reflect.Type, depth int)
	walk = func(of reflect.Type, depth int) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		value := reflect.New(of)
		if words, ok := value.Elem().Interface().(setting.Enum); ok && !found[of] {
			found[of] = true
			read := value.Interface().(interface{ UnmarshalText([]byte) error }).UnmarshalText
			for _, word := range words.Words() {
				if err := read([]byte(word)); err != nil {
					t.Errorf("%v refuses %s: %v", of, word, err)
				}
				if err := read([]byte("no such word")); err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("the error of %v does not name %s: %v", of, word, err)
				}
			}
		}
		if of.Kind() == reflect.Struct && depth < 9 {
			for f := range of.Fields() {
				if f.IsExported() && f.Tag.Get("yaml") != "" {
					walk(f.Type, depth+1)
				}
			}
		}
	}
	for _, k := range catalogueKinds() {
		walk(reflect.TypeOf(k.defaults()), 0)
	}
	walk(reflect.TypeFor[config.JobSettings](), 0)
	if len(found) < 15 {
		t.Errorf("only %d types have fixed values: %v", len(found), found)
	}
}
