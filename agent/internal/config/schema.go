package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/setting"
)

// object is a JSON object.
type object map[string]any

// Schema returns a JSON Schema (draft 7) of configuration files, for editors. It is made from the types of the settings,
// their defaults and the examples of the kinds. A file can be only a part of a configuration, so a setting is not required
// if another file or defaults can have it.
func (c *Catalogue) Schema() ([]byte, error) {
	about := describe(Example())
	top := structSchema(reflect.TypeFor[topLevel](), reflect.ValueOf(defaultTopLevel()), about)
	top["$schema"], top["title"] = "http://json-schema.org/draft-07/schema#", "Configuration of cton"
	top["patternProperties"] = object{"^x-": object{"description": "is not read; it can hold an anchor"}}
	properties := top["properties"].(object)
	put := func(name string, schema object) {
		schema["description"] = about.at(name).text
		properties[name] = schema
	}
	put("include", object{"type": "array", "items": object{"type": "string"}})
	put("auth", mapOf(structSchema(reflect.TypeFor[auth.Settings](), reflect.ValueOf(auth.Settings{}), describe(auth.Example()))))
	put("sinks", mapOf(c.sinkSchema()))
	job := c.jobSchema(about.at("jobs").any())
	top["definitions"] = object{"job": job}
	put("jobs", mapOf(object{"$ref": "#/definitions/job"}))
	defaults := object{"type": nullable("object"), "additionalProperties": false, "properties": c.defaultable(job)}
	put("defaults", defaults)
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// sinkSchema returns the schema of a sink, which has exactly one of the kinds.
func (c *Catalogue) sinkSchema() object {
	kinds := object{}
	for _, k := range c.Sinks {
		kinds[k.Name] = kindSchema(k.Defaults(), k.Example)
	}
	return object{"type": "object", "properties": kinds, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
}

// jobSchema returns the schema of a job: the settings of every job, and the kinds of fetchers and sources.
func (c *Catalogue) jobSchema(about *described) object {
	job := structSchema(reflect.TypeFor[JobSettings](), reflect.ValueOf(JobSettings{Timeout: defaultTimeout, MaxSeries: defaultMaxSeries}), about)
	delete(job, "required") // defaults can have the required settings
	properties := job["properties"].(object)
	for _, k := range c.Fetchers {
		properties[k.Name] = optional(kindSchema(k.Defaults(), k.Example))
	}
	for _, k := range c.Sources {
		properties[k.Name] = kindSchema(k.Defaults(), k.Example)
		if k.Name != "metrics" {
			optional(properties[k.Name].(object))
		}
	}
	return job
}

// optional changes a schema so that none of its own settings is required, and returns it.
func optional(schema object) object {
	delete(schema, "required")
	return schema
}

// defaultable returns references to the schemas of those job settings that can have defaults.
func (c *Catalogue) defaultable(job object) object {
	r := &reader{catalogue: *c}
	all := object{}
	for name := range job["properties"].(object) {
		if kinds := append(names(c.Fetchers), names(c.Sources)...); !slices.Contains(kinds, name) || r.settingsOf(name) != nil {
			all[name] = object{"$ref": "#/definitions/job/properties/" + name}
		}
	}
	return all
}

// kindSchema returns the schema of the settings of a kind. The first line of the example is used as the description.
func kindSchema(defaults any, example string) object {
	schema := valueSchema(reflect.TypeOf(defaults), reflect.ValueOf(defaults), describe(example), nil)
	first, _, _ := strings.Cut(example, "\n")
	schema["description"] = strings.TrimPrefix(first, "# ")
	return schema
}

func mapOf(value object) object {
	return object{"type": nullable("object"), "additionalProperties": value}
}

// nullable returns the types and null. A setting that is null counts as not set. In a job, null also removes the default.
func nullable(types ...string) []string { return append(types, "null") }

func structSchema(t reflect.Type, defaults reflect.Value, about *described) object {
	properties, required := object{}, []string{}
	for _, f := range settingFields(t) {
		name := settingName(f)
		if f.Type == reflect.TypeFor[yaml.Node]() {
			continue // the caller adds this section of the file
		}
		below := about.at(name)
		value := reflect.Value{}
		if defaults.IsValid() {
			value = defaults.FieldByName(f.Name)
		}
		schema := valueSchema(f.Type, value, below, nil)
		if below.text != "" {
			schema["description"] = below.text
		}
		if below.isRequired() {
			required = append(required, name)
		}
		properties[name] = schema
	}
	schema := object{"type": nullable("object"), "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// maxSchemaDepth limits how deep types are nested, since a type can contain itself.
const maxSchemaDepth = 8

// valueSchema returns the schema of values of a type. The argument byDefault is the default. It is invalid or zero if there is none.
func valueSchema(t reflect.Type, byDefault reflect.Value, about *described, outer []reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if byDefault.IsValid() {
			byDefault = byDefault.Elem()
		}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return withDefault(textSchema(t), byDefault)
	}
	outer = append(outer, t)
	switch t.Kind() {
	case reflect.Struct:
		if len(outer) > maxSchemaDepth {
			return object{}
		}
		return structSchema(t, byDefault, about)
	case reflect.Map:
		return mapOf(valueSchema(t.Elem(), reflect.Value{}, about.any(), outer))
	case reflect.Slice:
		return object{"type": nullable("array"), "items": valueSchema(t.Elem(), reflect.Value{}, about, outer)}
	case reflect.Bool:
		return withDefault(referable("boolean"), byDefault)
	case reflect.String:
		return withDefault(object{"type": nullable("string", "number", "boolean")}, byDefault)
	case reflect.Interface:
		return object{}
	case reflect.Float32, reflect.Float64:
		return withDefault(referable("number"), byDefault)
	}
	return withDefault(referable("integer"), byDefault)
}

// reference is the pattern of a reference, which can replace every single value.
const reference = `^(env:[^ =]+|file:[^#]+(#.+)?)$`

// referable returns the schema of values of a type other than string, or of references to such values.
func referable(kind string) object {
	return object{"type": nullable(kind, "string"), "pattern": reference}
}

// textSchema returns the schema of a type that is read from text. A number or a boolean is accepted too if the type can read
// it as text.
func textSchema(t reflect.Type) object {
	switch value := reflect.New(t).Elem().Interface().(type) {
	case setting.Duration:
		schema := patternSchema(`^(\d+w)?(\d+d)?(\d+(\.\d+)?(h|m|s|ms|us|µs|ns))+$|^\d+w(\d+d)?$|^\d+d$|^0$|`+reference, value, "integer")
		schema["minimum"], schema["maximum"] = 0, 0 // other numbers than 0 need a unit
		return schema
	case setting.Bytes:
		schema := patternSchema(`^\d+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$|`+reference, value, "integer")
		schema["minimum"] = 0
		return schema
	case setting.Secret:
		return patternSchema(reference, value)
	case setting.URL:
		return patternSchema(`^https?://|`+reference, value)
	case setting.PathOrURL:
		return patternSchema(`^https?://|^/|`+reference, value)
	case setting.Enum:
		return enumSchema(value.Words())
	}
	return object{"type": nullable("string", "number", "boolean")}
}

// patternSchema returns the schema of strings that match a pattern, and of values of the types in more. The schema also has a
// patternErrorMessage. This is an extension of JSON Schema: editors show its text for a string that does not match. The text is the error
// that the method UnmarshalText of the argument "value" returns for a wrong text.
func patternSchema(pattern string, value any, more ...string) object {
	schema := object{"type": nullable(append([]string{"string"}, more...)...), "pattern": pattern}
	if reader, ok := reflect.New(reflect.TypeOf(value)).Interface().(encoding.TextUnmarshaler); ok {
		if err := reader.UnmarshalText([]byte("-")); err != nil {
			schema["patternErrorMessage"] = err.Error()
		}
	}
	return schema
}

// enumSchema returns the schema of a list of words. YAML reads a word such as 1.0 as a number, so that number is accepted
// too.
func enumSchema(words []string) object {
	var all []any
	for _, word := range words {
		all = append(all, word)
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			all = append(all, n)
		}
	}
	return object{"anyOf": []object{{"enum": all}, {"type": "string", "pattern": reference}}}
}

// withDefault adds the default of a single value to a schema.
func withDefault(schema object, value reflect.Value) object {
	if !value.IsValid() || value.IsZero() {
		return schema
	}
	if m, ok := value.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			schema["default"] = string(text)
		}
	} else if value.Kind() != reflect.Struct {
		schema["default"] = value.Interface()
	}
	return schema
}
