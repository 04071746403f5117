package convert

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// isScriptExporter reports whether a file is a configuration of script_exporter.
func isScriptExporter(n *node) bool {
	for _, s := range n.list("scripts") {
		if s.has("name") && (s.has("script") || s.has("command")) {
			return true
		}
	}
	return false
}

// scriptExporter converts a configuration of script_exporter.
type scriptExporter struct {
	out  *output
	prom *prometheus
}

func (x *scriptExporter) convert(roots []*node) {
	schedule := every("1m")
	if x.prom != nil {
		if jobs := x.prom.scrapeJobs(); len(jobs) > 0 {
			schedule = jobs[0].interval
		}
	}
	for _, root := range roots {
		for _, s := range root.list("scripts") {
			x.script(s, schedule)
		}
		for _, m := range root.pairs() {
			if m.key != "scripts" {
				x.out.lose(&x.out.problems, m.line, m.key, "there is no counterpart")
			}
		}
	}
}

// script adds the job for a script.
func (x *scriptExporter) script(n *node, schedule string) {
	name := n.str("name")
	j := &job{name: name, schedule: schedule, kind: "exec"}
	if seconds := n.str("timeout", "max_timeout"); seconds != "" {
		j.timeout = strings.TrimSuffix(seconds, "s") + "s"
		if strings.ContainsAny(seconds, ".mhe-+") {
			j.timeout = ""
			x.out.lose(&j.notes, n.get("timeout").line, "timeout", "it is not a number of seconds")
		}
	}
	words := n.strs("command")
	if n.get("command") == nil || n.get("command").kind != list {
		words = strings.Fields(n.str("command") + n.str("script"))
	}
	words = append(words, n.strs("args")...)
	set := object()
	if !command(x.out, &j.notes, set, n.line, words) {
		x.out.add(j)
		return
	}
	put(set, "env", variables(x.out, &j.notes, name, n.pairs("env")))
	put(set, "document", "result")
	j.settings = set
	constant := func() map[string]string { return map[string]string{"script": name} }
	j.metrics = []*metricOut{
		{name: "script_success", kind: "gauge", help: "Script exit status (0 = error, 1 = success).", value: "if .exit_code == 0 then 1 else 0 end", constant: constant()},
		{name: "script_exit_code", kind: "gauge", help: "The exit code of the script.", value: ".exit_code", constant: constant()},
		{name: "script_duration_seconds", kind: "gauge", help: "Script execution time, in seconds.", value: ".seconds", constant: constant()},
	}
	for _, m := range n.pairs() {
		switch m.key {
		case "name", "command", "script", "args", "timeout", "env", "output", "ignoreOutput", "ignore_output":
		default:
			x.out.lose(&j.notes, m.line, m.key, "there is no counterpart")
		}
	}
	x.out.add(j)
	if !n.is("ignoreOutput") && !n.is("output", "ignore") && !n.is("ignore_output") {
		x.output(n, j)
	}
}

// output adds a job that passes on the metrics that a script writes.
func (x *scriptExporter) output(n *node, j *job) {
	own := &job{name: j.name + "-output", schedule: j.schedule, timeout: j.timeout, kind: "exec", passedOn: true}
	own.settings = object()
	for i := 0; i+1 < len(j.settings.Content); i += 2 {
		if key := j.settings.Content[i].Value; key != "document" {
			put(own.settings, key, j.settings.Content[i+1])
		}
	}
	say(&own.notes, n.line, "output", "the metrics that the script writes; it runs once for them, and once for its result above; if it fails, its metrics are not passed on")
	x.out.add(own)
}

// command sets the command of an exec source. It returns false if the command cannot be copied.
func command(o *output, notes *[]note, set *yaml.Node, line int, words []string) bool {
	all := strings.Join(words, " ")
	switch {
	case len(words) == 0:
		o.lose(notes, line, "command", "there is none")
		return false
	case secretText(all), secretName(all) && secretFlag(all), slices.ContainsFunc(words, addressWithLogin), loginFlag(words):
		o.lose(notes, line, "command", "it can hold a secret and is not copied: put it into a script, with the secret in env")
		return false
	}
	var escaped []string
	for _, w := range words {
		escaped = append(escaped, escapeTemplate(w))
	}
	put(set, "command", texts(escaped))
	return true
}

// addressWithLogin reports whether a word of a command has an address with a password or a secret parameter.
func addressWithLogin(word string) bool {
	return slices.ContainsFunc(strings.Fields(word), func(w string) bool {
		_, changed := publicValue(strings.Trim(w, `"'`))
		return changed
	})
}

// loginFlag reports whether a command has a user and a password in the form that curl takes: -u USER:PASSWORD.
func loginFlag(words []string) bool {
	fields := strings.Fields(strings.Join(words, " "))
	for i, w := range fields {
		name, value, given := strings.Cut(w, "=")
		if !given && i+1 < len(fields) {
			value = fields[i+1]
		}
		if (name == "-u" || name == "--user" || name == "--proxy-user") && strings.Contains(value, ":") {
			return true
		}
	}
	return false
}

// secretFlag reports whether a command sets a flag or variable that can be a secret.
func secretFlag(s string) bool {
	for w := range strings.FieldsSeq(s) {
		name, _, _ := strings.Cut(strings.Trim(w, `"'`), "=")
		if secretName(name) && (strings.HasPrefix(name, "-") || strings.Contains(w, "=") || strings.HasSuffix(name, ":")) {
			return true
		}
	}
	return false
}

// variables returns environment variables. It copies only variables such as PATH and LANG, which are never secret. The
// others become references.
func variables(o *output, notes *[]note, job string, all []member) *yaml.Node {
	env := object()
	for _, m := range all {
		switch name := m.key; {
		case secretText(name):
			o.lose(notes, m.line, "env", "a variable is not copied, since its name can hold a secret")
		case name == "LANG", name == "TZ", name == "HOME", name == "PATH", strings.HasPrefix(name, "LC_"):
			put(env, name, m.value.str())
		default:
			ref := reference(name)
			say(notes, m.line, name, "the variable is not copied, since it can be a secret: set %s", strings.TrimPrefix(ref, "env:"))
			put(env, name, ref)
		}
	}
	return env
}
