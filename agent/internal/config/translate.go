package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// load decodes a node strictly into a pointer. Each error of the decoder becomes a problem in terms of the file, not of Go.
// Path is the path of the node.
func (r *reader) load(n *yaml.Node, path string, into any) {
	err := n.Load(into, yaml.WithKnownFields())
	if err == nil {
		return
	}
	many, ok := errors.AsType[*yaml.LoadErrors](err)
	if !ok {
		r.bad(n, path, "%v", err)
		return
	}
	for _, e := range many.Errors {
		r.translate(n, path, e, reflect.TypeOf(into))
	}
}

func (r *reader) translate(n *yaml.Node, path string, e *yaml.LoadError, into reflect.Type) {
	line, col := e.Mark.Line, e.Mark.Column
	inside, _, _ := pathTo(n, line, col)
	path = join(path, inside)
	text, known := plain(e.Message), settingsAt(into, inside)
	name, kind := unknownField(e.Message), mismatch(e.Message)
	switch {
	case name != "" && secretPlace(path) && prometheusKeys()[name].text == "" && Closest(name, known) == "":
		text = "no such setting here; there are " + strings.Join(known, ", ") // the name may be the secret
	case name != "":
		text = r.noSetting(path, name, known)
	case kind != "" && secretPlace(path):
		text, _, _ = strings.Cut(kind, ", got ")
	case kind != "":
		text = kind
	}
	r.problems = append(r.problems, r.problem(line, col, path, text))
}

// secretPlace reports whether the value at a path may be a secret, which a message must not repeat.
func secretPlace(path string) bool {
	return regexp.MustCompile(`(?i)(password|secret|token|credentials|auth|headers|query|cookie)[^.]*(\.[^.]*)?$`).MatchString(path)
}

// unknownField returns the name of an unknown setting; "" for other messages.
func unknownField(message string) string {
	if parts := regexp.MustCompile(`(?s)^field (.*) not found in type `).FindStringSubmatch(message); parts != nil {
		return parts[1]
	}
	return ""
}

// mismatch returns which kind of value is wanted, and which one is there; "" for other messages.
func mismatch(message string) string {
	parts := regexp.MustCompile("(?s)^cannot construct !!(\\w+)(?: `(.*)`)? into (.*)$").FindStringSubmatch(message)
	if parts == nil {
		return ""
	}
	got := map[string]string{"map": "a mapping", "seq": "a list", "null": "nothing"}[parts[1]]
	if got == "" {
		got = strconv.Quote(parts[2])
	}
	return "want " + wanted(parts[3]) + ", got " + got
}

// wanted describes the values of a Go type.
func wanted(goType string) string {
	switch {
	case strings.HasSuffix(goType, "(TextUnmarshaler)"):
		return "a single value"
	case goType == "string":
		return "a text"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number"
	case strings.HasPrefix(goType, "[]"):
		return "a list such as [a, b]"
	case strings.HasPrefix(goType, "map["):
		return "a mapping of names to values"
	}
	return "a mapping of settings"
}

// plain rewrites a message of the decoder.
func plain(message string) string {
	if parts := regexp.MustCompile(`(?s)^mapping key "?(.*?)"? already defined at line (\d+)$`).FindStringSubmatch(message); parts != nil {
		return fmt.Sprintf("%q is set twice, first in line %s", parts[1], parts[2])
	}
	return strings.TrimPrefix(message, "yaml: ")
}

// noSetting returns a message for an unknown setting, with a suggestion if there is one.
func (r *reader) noSetting(path, name string, known []string) string {
	text := fmt.Sprintf("no setting %q", name)
	if hint := prometheusKeys()[name]; hint.text != "" {
		r.meant[join(path, hint.setting)] = true
		return text + "; " + hint.text
	}
	if meant := Closest(name, known); meant != "" {
		r.meant[join(path, meant)] = true
		return text + fmt.Sprintf("; did you mean %q?", meant)
	}
	if len(known) > 0 && len(known) <= 12 {
		return text + "; there are " + strings.Join(known, ", ")
	}
	return text
}

// missing reports a missing setting, unless a mistyped name was taken for it.
func (r *reader) missing(n *yaml.Node, path, want string) {
	if !r.meant[path] {
		r.bad(n, path, "is needed: %s", want)
	}
}

// hint is the counterpart of a setting of another program.
type hint struct{ setting, text string }

// prometheusKeys returns settings of Prometheus that have another name or form here.
func prometheusKeys() map[string]hint {
	file := func(setting string) hint { return hint{setting, fmt.Sprintf("write %s: \"file:/path\"", setting)} }
	every := hint{"schedule", `write schedule: "@every 60s"`}
	return map[string]hint{
		"password_file":      file("password"),
		"credentials_file":   file("credentials"),
		"client_secret_file": file("client_secret"),
		"username_file":      file("username"),
		"bearer_token":       {"", `write authorization: {credentials: "env:NAME"}`},
		"bearer_token_file":  {"", `write authorization: {credentials: "file:/path"}`},
		"scrape_interval":    every,
		"interval":           every,
		"cron":               {"schedule", `write schedule: "*/5 * * * *"`},
		"http_headers":       {"headers", "write headers"},
		"params":             {"query", "write query"},
		"remote_write":       {"", "sinks have a name: sinks: {NAME: {remote_write: …}}"},
	}
}

// settingsAt returns the names of the settings of the struct at a path inside a type.
func settingsAt(t reflect.Type, path string) []string {
	var names []string
	for _, f := range settingFields(descend(t, path)) {
		names = append(names, settingName(f))
	}
	slices.Sort(names)
	return names
}

func descend(t reflect.Type, path string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if path == "" {
		return t
	}
	name, rest, _ := strings.Cut(path, ".")
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		return descend(t.Elem(), rest)
	case reflect.Struct:
		for _, f := range settingFields(t) {
			if settingName(f) == name {
				return descend(f.Type, rest)
			}
		}
	}
	return t
}

func settingFields(t reflect.Type) []reflect.StructField {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var all []reflect.StructField
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		switch {
		case strings.HasSuffix(tag, ",inline"):
			all = append(all, settingFields(f.Type)...)
		case tag != "" && tag != "-":
			all = append(all, f)
		}
	}
	return all
}

func settingName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}
