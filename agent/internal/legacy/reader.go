package legacy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/config"
)

// reader translates one file.
type reader struct {
	Options
	file     *config.File
	problems config.Problems
	meant    map[string]bool // paths of the keys that were suggested for mistyped keys; these are not reported as missing

	top         object
	metricNames []string // names of the metrics of all services that can be read
	allMetrics  bool     // every service could be read
	interval    *yaml.Node
	seconds     float64 // the interval in seconds
	pages       pages

	missingScripts []string
	missingSecrets []string
}

// topLevel translates the file, from its top level on.
func (r *reader) topLevel(t *Translation) *yaml.Node {
	r.top = r.object(whole(r.file.Root), "")
	known := []string{keyPort, keyInterval, keyLogLevel, keyServices, keyLabels}
	for _, m := range r.top.members {
		if !slices.Contains(known, m.key.Value) {
			r.unknown(m.key, "", "setting", known)
		}
	}
	t.LogLevel = r.logLevel()
	r.interval = r.schedule()
	jobs := r.services()
	if jobs == nil {
		return nil
	}
	root := mapping(r.file.Root)
	add(root, text(r.pages.ports[0], "sinks"), r.sinks(jobs))
	add(root, text(r.file.Root, "jobs"), jobs)
	return root
}

// logLevel returns the value of the flag --log-level that corresponds to the level of the file, or "".
func (r *reader) logLevel() string {
	m, ok := r.top.get(keyLogLevel)
	if !ok {
		return ""
	}
	levels := map[string]string{"CRITICAL": "error", "ERROR": "error", "WARNING": "warn", "INFO": "info", "DEBUG": "debug", "NOTSET": "debug"}
	level := levels[strings.ToUpper(m.value.Value)]
	if level == "" {
		r.bad(m.value, keyLogLevel, "want CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET")
	}
	return level
}

// schedule returns the interval between two calls as a schedule, at least one second. Intervals that are too long are reported later,
// when the plan is checked.
func (r *reader) schedule() *yaml.Node {
	m, ok := r.top.get(keyInterval)
	if !ok {
		r.missing(r.top, keyInterval, "the seconds between two calls, such as 60")
		r.seconds = 60
		return text(r.file.Root, "@every 60s")
	}
	seconds, ok := number(m.value)
	if !ok || seconds < 0 {
		r.bad(m.value, keyInterval, "want a number of seconds, such as 60")
		seconds = 60
	}
	r.seconds = seconds
	n := text(m.value, "@every "+strconv.FormatFloat(max(seconds, 1), 'f', -1, 64)+"s")
	switch {
	case seconds < 1:
		n.LineComment = comment("was " + m.value.Value + "; the shortest interval is 1s, and calls between two scrapes of the page add nothing")
	case seconds < 15:
		n.LineComment = "# as before; calls between two scrapes of the page add nothing"
	}
	return n
}

// services translates the services and collects their ports. It returns nil if there are no services.
func (r *reader) services() *yaml.Node {
	m, ok := r.top.get(keyServices)
	if !ok {
		r.missing(r.top, keyServices, `the services by name, such as {"splunk": {"service_class": "SplunkApi", …}}`)
		return nil
	}
	all := r.object(m, keyServices)
	var names []string
	for _, s := range all.members {
		names = append(names, s.key.Value)
	}
	if len(names) == 0 && m.value.Kind == yaml.MappingNode {
		r.bad(m.key, keyServices, "has no services: add one, such as {\"splunk\": {\"service_class\": \"SplunkApi\", …}}")
	}
	if r.Service != "" && len(names) > 0 && !slices.Contains(names, r.Service) {
		r.unknown(text(m.key, r.Service), keyServices, "service", names)
	}
	r.metricNames, r.allMetrics = metricsOf(all)
	r.checkClasses(all)
	r.checkLabels(r.top)
	jobs := mapping(m.value)
	for _, s := range all.members {
		if r.Service != "" && s.key.Value != r.Service {
			continue
		}
		if o := r.object(s, all.path(s.key.Value)); s.value.Kind == yaml.MappingNode {
			add(jobs, clean(s.key), r.service(s, o))
		}
	}
	if len(jobs.Content) == 0 {
		return nil
	}
	return jobs
}

// service translates one service into a job.
func (r *reader) service(s member, o object) *yaml.Node {
	r.mistyped(o)
	r.port(s, o)
	job, settings, secrets := mapping(s.value), mapping(s.value), r.secrets(o)
	kind, source := r.source(s, o)
	add(job, text(r.interval, "schedule"), r.interval)
	if url, ok := o.get(keyURL); ok {
		fetch := mapping(url.value)
		add(fetch, text(url.key, "url"), clean(url.value))
		if kind != "script" {
			r.keep(fetch, "cache_for")
		}
		add(job, withHint(text(url.key, "http"), secrets), fetch)
		add(settings, clean(url.key), clean(url.value))
	} else {
		r.missing(o, keyURL, "the address of the API")
	}
	for _, m := range o.members {
		if !slices.Contains(serviceKeys(), m.key.Value) {
			add(settings, clean(m.key), clean(m.value))
		}
	}
	if len(settings.Content) > 0 {
		add(source, text(s.key, "settings"), settings)
	}
	if secrets != nil {
		add(source, text(secrets, "secrets"), secrets)
	}
	metrics := text(s.key, "metrics")
	if path := o.value(keySecrets); path != "" && secrets == nil {
		metrics.HeadComment = comment(path + " did not exist; for each name in it: secrets: {API_KEY: " + strconv.Quote("file:"+path+"#API_KEY") + "}")
	}
	add(source, metrics, r.metrics(o))
	add(job, text(s.key, kind), source)
	return job
}

// keep adds a setting that makes the job use an answer for 60 seconds, as the Python framework did. The setting is needed only if the
// interval is shorter than that.
func (r *reader) keep(m *yaml.Node, setting string) {
	if r.seconds >= 60 {
		return
	}
	value := text(r.interval, "60s")
	value.LineComment = "# as before: an answer is used again for a minute"
	add(m, text(r.interval, setting), value)
}

// withHint adds a comment to a key. The comment says where headers go, with one of the secrets as an example.
func withHint(key, secrets *yaml.Node) *yaml.Node {
	example := `"env:API_KEY"`
	if secrets != nil {
		example = strconv.Quote(secrets.Content[1].Value)
	}
	key.HeadComment = comment("Headers and params that the class set go here: headers: {X-Api-Key: " + example + "}, query: {limit: 100}")
	return key
}

// source returns the kind of source that computes the metrics of a service, and the settings that say where its code is.
func (r *reader) source(s member, o object) (kind string, settings *yaml.Node) {
	settings = mapping(s.value)
	class, _ := r.text(o, keyClass)
	if r.inGo(class) {
		return class, settings
	}
	module, at := r.text(o, keyModule)
	if at == nil {
		r.missing(o, keyModule, "the name of the script with the functions of the service, without .star")
		at = s.key
	}
	file := r.script(module, class)
	path := filepath.Join(r.Files.Dir, file)
	_, err := os.Stat(path)
	switch bare, extended := strings.CutSuffix(strings.TrimSuffix(module, ".star"), ".py"); {
	case extended || strings.HasSuffix(module, ".star"):
		r.bad(at, o.path(keyModule), "want the name without its extension, as in a Python import: %q", bare)
	case module != "" && !fs.ValidPath(file):
		r.bad(at, o.path(keyModule), "want a name as in a Python import, relative to the folder of this file, such as splunk_api or package.splunk_api")
	case module != "" && errors.Is(err, fs.ErrNotExist) && r.WithoutScripts:
		r.missingScripts = append(r.missingScripts, path)
	case module != "" && errors.Is(err, fs.ErrNotExist): // a script that exists but cannot be read makes the runs of its job fail
		r.bad(at, o.path(keyModule), "%s does not exist: write the functions of the class there in Starlark (see cton explain script), or build cton with a Go source that has the name of service_class%s", path, r.quoteClass(class))
	}
	add(settings, text(at, "file"), text(at, file))
	r.keep(settings, "expires")
	return "script", settings
}

// secrets returns references to the secrets in the secret file of a service, keyed by name. It returns nil if the service has no such
// file.
func (r *reader) secrets(o object) *yaml.Node {
	path, at := r.text(o, keySecrets)
	if path == "" {
		return nil
	}
	const want = `; the file needs lines such as API_KEY="…"`
	if strings.Contains(path, "#") {
		r.bad(at, o.path(keySecrets), "the path contains #, which a reference to a secret cannot contain: rename the file")
		return nil
	}
	names, err := r.Files.Keys(path)
	switch {
	case r.WithoutSecrets && errors.Is(err, fs.ErrNotExist):
		r.missingSecrets = append(r.missingSecrets, path)
		return nil
	case err != nil:
		r.bad(at, o.path(keySecrets), "%v%s", err, want)
		return nil
	case len(names) == 0:
		r.bad(at, o.path(keySecrets), "%s has no secrets%s", path, want)
		return nil
	}
	all := mapping(at)
	for _, name := range names {
		add(all, text(at, name), text(at, "file:"+path+"#"+name))
	}
	return all
}

// quoteClass returns text to append to a problem. The text has the name of a class and, if a Go source has a similar name, the name of that
// source.
func (r *reader) quoteClass(class string) string {
	if class == "" {
		return ""
	}
	var known []string
	for _, k := range r.Catalogue.Sources {
		if first, _ := utf8.DecodeRuneInString(k.Name); unicode.IsUpper(first) { // the kinds of cton itself begin with a small letter
			known = append(known, k.Name)
		}
	}
	if meant := config.Closest(class, known); meant != "" {
		return fmt.Sprintf(", %q; did you mean %q, which this cton has?", class, meant)
	}
	return fmt.Sprintf(", %q", class)
}

// serviceKeys returns the keys of a service that the Python framework knows. Users may add other keys.
func serviceKeys() []string {
	return []string{keyClass, keyModule, keyURL, keyMapping, keySecrets, keyLabels, keyPort}
}

// mistyped reports keys of a service that are probably mistyped, as opposed to keys that the user has added.
func (r *reader) mistyped(o object) {
	var absent []string
	for _, name := range serviceKeys() {
		if _, there := o.get(name); !there {
			absent = append(absent, name)
		}
	}
	for _, m := range o.members {
		if slices.Contains(serviceKeys(), m.key.Value) {
			continue
		}
		if meant := near(m.key.Value, serviceKeys(), absent); meant != "" {
			r.meant[o.path(meant)] = true
			r.bad(m.key, o.name, "unknown setting %q; did you mean %q?", m.key.Value, meant)
		}
	}
}

// near returns the known key that differs from a name by one or two letters, or else the absent key that has one more word than the
// name. It returns "" if there is none. It is strict enough to return "" for names that users choose, such as api_key and service_name.
func near(name string, known, absent []string) string {
	for _, key := range known {
		if len(key) >= len(keyURL) && within(name, key, 1+len(key)/12) {
			return key
		}
	}
	for _, key := range absent {
		words := strings.Split(singular(key), "_")
		for i, word := range words {
			less := strings.Join(slices.Delete(slices.Clone(words), i, i+1), "_")
			if len(words) > 2 && word != "secret" && singular(name) == less {
				return key
			}
		}
	}
	return ""
}

// within returns true if the edit distance of a and b is at most n, ignoring the case of a.
func within(a, b string, n int) bool {
	return max(len(a)-len(b), len(b)-len(a)) <= n && config.Distance(strings.ToLower(a), b) <= n
}

// singular returns a name in lower case, without the s at the end of each word.
func singular(name string) string {
	return strings.TrimSuffix(strings.ReplaceAll(strings.ToLower(name), "s_", "_"), "s")
}

// pages has the ports of the file. Each port becomes a sink.
type pages struct {
	ports []*yaml.Node   // without duplicates
	of    map[string]int // index of each service's port in the field ports, by the name of the service
}

// port records the port of a service: the port in the service, or else the port at the top level of the file.
func (r *reader) port(s member, o object) {
	m, ok := o.get(keyPort)
	path := o.path(keyPort)
	if !ok {
		m, ok = r.top.get(keyPort)
		path = keyPort
	}
	at := m.value
	if !ok {
		r.missing(r.top, keyPort, "the port of the page of metrics, such as 8000")
		at = text(r.file.Root, "8000")
	} else if number, err := strconv.ParseUint(at.Value, 10, 16); err != nil || number == 0 || at.ShortTag() != "!!int" {
		r.bad(at, path, "want a port number from 1 to 65535")
		at = text(at, "8000")
	}
	page := slices.IndexFunc(r.pages.ports, func(p *yaml.Node) bool { return p.Value == at.Value })
	if page < 0 {
		page = len(r.pages.ports)
		r.pages.ports = append(r.pages.ports, at)
	}
	r.pages.of[s.key.Value] = page
}

// sinks returns the sinks. If there are several sinks, it also adds to each job the name of its sink.
func (r *reader) sinks(jobs *yaml.Node) *yaml.Node {
	sinks := mapping(r.pages.ports[0])
	for _, port := range r.pages.ports {
		settings, kind := mapping(port), mapping(port)
		add(settings, text(port, "listen"), text(port, ":"+port.Value))
		created := text(port, "true")
		created.Tag, created.LineComment = "!!bool", "# as in the Python client"
		add(settings, text(port, "created_series"), created)
		add(kind, text(port, "expose"), settings)
		add(sinks, text(port, r.pageName(port)), kind)
	}
	if len(r.pages.ports) == 1 {
		return sinks
	}
	for _, job := range members(jobs) {
		port := r.pages.ports[r.pages.of[job.key.Value]]
		job.value.Content = slices.Insert(job.value.Content, 2, text(port, "sinks"), list(port, text(port, r.pageName(port))))
	}
	return sinks
}

func (r *reader) pageName(port *yaml.Node) string {
	if len(r.pages.ports) == 1 {
		return "page"
	}
	return "page-" + port.Value
}

// unknown reports an unknown name.
func (r *reader) unknown(key *yaml.Node, path, what string, known []string) {
	if meant := config.Closest(key.Value, known); meant != "" {
		r.meant[join(path, meant)] = true
		r.bad(key, path, "unknown %s %q; did you mean %q?", what, key.Value, meant)
		return
	}
	r.bad(key, path, "unknown %s %q; want one of %s", what, key.Value, strings.Join(known, ", "))
}

// missing reports that a key is needed, unless the key was already suggested for a mistyped key.
func (r *reader) missing(o object, name, want string) {
	if path := o.path(name); !r.meant[path] {
		r.bad(o.at, path, "is required: %s", want)
	}
}

func (r *reader) bad(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, r.file.Problem(n, path, fmt.Sprintf(format, args...)))
}
