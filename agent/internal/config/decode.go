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

// load decodes a node strictly into a pointer. Before that, it makes the paths in the node relative to the configuration's
// folder and replaces its references by their values. It reports the decoder's errors as problems, in words for the author
// of the file. path is the path of the node. load returns the node with its references replaced.
func (r *reader) load(n *yaml.Node, path string, into any) *yaml.Node {
	(&relocator{r.File, map[place]bool{}, r.inDefaults}).relocate(n, reflect.TypeOf(into), "")
	n = (&filler{r, map[place]*yaml.Node{}}).fill(n, path, reflect.TypeOf(into), false)
	err := n.Load(into, yaml.WithKnownFields())
	if err == nil {
		return n
	}
	many, ok := errors.AsType[*yaml.LoadErrors](err)
	if !ok {
		r.bad(n, path, "%v", err)
		return n
	}
	for _, e := range many.Errors {
		r.translate(n, path, e, reflect.TypeOf(into))
	}
	return n
}

func (r *reader) translate(n *yaml.Node, path string, e *yaml.LoadError, into reflect.Type) {
	line, col := e.Mark.Line, e.Mark.Column
	if r.unfilled[position{line, col}] {
		return
	}
	inside, _, _ := pathTo(n, line, col)
	path = join(path, inside)
	text, known := r.decoderMessage(e.Message, line), settingsAt(into, inside)
	name, kind := unknownField(e.Message), mismatch(e.Message)
	switch {
	case name != "" && isSecret(path) && prometheusKeys()[name].text == "" && Closest(name, known) == "":
		text = "unknown setting; want one of " + strings.Join(known, ", ") // the name is not shown, since it could be a secret
	case name != "":
		text = r.unknownSetting(path, name, known)
	case kind != "" && isSecret(path):
		text, _, _ = strings.Cut(kind, ", got ")
	case kind != "":
		text = kind
		if instead := wantedInstead(path, nodeAt(n, line, col)); instead != "" {
			text = instead
		}
	}
	r.problems = append(r.problems, r.problem(line, col, path, text))
}

// isSecret reports whether the setting at a path can be a secret. A problem must not show the value of such a setting.
func isSecret(path string) bool {
	return regexp.MustCompile(`(?i)(password|secret|token|credentials|auth|headers|query|cookie)[^.]*(\.[^.]*)?$`).MatchString(path)
}

// unknownField returns the name of the setting if message is the decoder's error for an unknown setting. Otherwise it
// returns "".
func unknownField(message string) string {
	if parts := regexp.MustCompile(`(?s)^field (.*) not found in type `).FindStringSubmatch(message); parts != nil {
		return parts[1]
	}
	return ""
}

// mismatch returns which type of value is wanted and what the value is, if message is the decoder's error for a wrong type.
// Otherwise it returns "".
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

// wanted returns the name that users know for a Go type.
func wanted(goType string) string {
	switch {
	case strings.HasSuffix(goType, "(TextUnmarshaler)"):
		return "a single value"
	case goType == "string":
		return "a string"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "an integer"
	case strings.HasPrefix(goType, "[]"):
		return "a list such as [a, b]"
	case strings.HasPrefix(goType, "map["):
		return "a mapping of names to values"
	}
	return "a mapping of settings"
}

// decoderMessage returns an error message of the decoder for a line, in words for the author of the file.
func (f *File) decoderMessage(message string, line int) string {
	if parts := regexp.MustCompile(`(?s)^mapping key "?(.*?)"? already defined at line (\d+)$`).FindStringSubmatch(message); parts != nil {
		first, _ := strconv.Atoi(parts[2])
		return fmt.Sprintf("%q is set twice, first in %s", parts[1], f.place(first, line))
	}
	return strings.TrimPrefix(message, "yaml: ")
}

// unknownSetting returns the text of the problem for an unknown setting. If the text suggests another setting,
// unknownSetting notes this in r.meant.
func (r *reader) unknownSetting(path, name string, known []string) string {
	text := fmt.Sprintf("unknown setting %q", name)
	if hint := prometheusKeys()[name]; hint.text != "" && (hint.setting == "" || hint.isOfJob() || slices.Contains(known, hint.setting)) {
		r.meant[join(path, hint.setting)] = true
		return text + "; " + hint.text
	}
	if hint := r.besideKind(path, name); hint != "" {
		return hint
	}
	if meant := Closest(name, known); meant != "" {
		r.meant[join(path, meant)] = true
		return text + fmt.Sprintf("; did you mean %q?", meant)
	}
	if len(known) > 0 && len(known) <= 12 {
		return text + "; want one of " + strings.Join(known, ", ")
	}
	return text
}

// hint says which setting to use instead of a setting of another program.
type hint struct{ setting, text string }

// isOfJob reports whether the setting belongs to the job, even if the other program has it in another place.
func (h hint) isOfJob() bool { return h.setting == "schedule" }

// prometheusKeys returns the settings of Prometheus that have another name here.
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
		"static_configs":     {"targets", `write targets: ["host:9100"], and labels: {…} beside it`},
		"file_sd_configs":    {"file_sd", "write file_sd: {files: […]}"},
		"http_sd_configs":    {"http_sd", "write http_sd: {url: …}"},
		"scrape_timeout":     {"", "the job's timeout is that of each scrape; write timeout: 10s beside scrape"},
		"remote_write":       {"", "sinks have a name: sinks: {NAME: {remote_write: …}}"},
	}
}

// settingsAt returns the names of the settings of a struct. The struct is at the path inside the type.
func settingsAt(t reflect.Type, path string) []string {
	var names []string
	for _, f := range settingFields(descend(t, path)) {
		names = append(names, settingName(f))
	}
	slices.Sort(names)
	return names
}

// descend returns the type of the value at the path inside the type.
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

// settingFields returns the fields of a struct that are settings.
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
