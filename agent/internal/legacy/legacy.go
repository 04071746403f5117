// Package legacy reads config.json of the Python framework Collectington (https://pypi.org/project/collectington) as a
// configuration of ours.
//
//	config.json ─▶ tree ─▶ translation: our keys, at the lines and columns of the old ones ─▶ plan, by config's own check
//	                                └─▶ YAML, for whoever wants to go on from there
//
// Each service becomes a job that is a script, or a source in Go with the name of the service's class; each port becomes a
// page.
package legacy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/setting"
)

// The keys of the old file.
const (
	keyServices = "services"
	keyPort     = "port"
	keyInterval = "api_call_intervals"
	keyLogLevel = "log_level"
	keyLabels   = "prometheus_metric_labels"
	keyClass    = "service_class"
	keyModule   = "service_module"
	keyURL      = "api_url"
	keyMapping  = "prometheus_metrics_mapping"
	keySecrets  = "secret_file_path"
)

// Is tells whether a file is one of the Python framework: its top level has services, or a key that ours has not, and
// none of ours.
func Is(doc *config.Document) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(members(doc.Root), func(m member) bool { return slices.Contains(names, m.key.Value) })
	}
	if has(keyServices) {
		return !has("jobs")
	}
	return has(keyPort, keyInterval, keyLogLevel) && !has("jobs", "sinks")
}

// Options say what to translate, and with what.
type Options struct {
	Service   string // this service alone; "" = all
	Catalogue config.Catalogue
	Files     *setting.SecretStore // where paths are taken from; it reads the names of secrets, never their values

	WithoutSecrets bool // a file of secrets that is not there is no problem: nobody will read them
}

// Translation is an old configuration in our words.
type Translation struct {
	LogLevel string // as --log-level has it; "" where the file says nothing

	doc       *config.Document
	catalogue config.Catalogue
	root      *yaml.Node // nil where there is nothing to translate
	problems  config.Problems
}

// Plan is the checked plan. The error, if any, is config.Problems, at the lines of the old file.
func (t *Translation) Plan() (*config.Plan, error) {
	if t.root == nil {
		return nil, t.problems
	}
	return t.doc.Plan(t.root, t.catalogue, t.problems)
}

// Translate translates a file. What is wrong with it, Plan tells.
func Translate(doc *config.Document, o Options) *Translation {
	r := &reader{Options: o, doc: doc, meant: map[string]bool{}, pages: pages{of: map[string]int{}}}
	t := &Translation{doc: doc, catalogue: o.Catalogue}
	if alias := findAlias(doc.Root); alias != nil {
		r.bad(alias, "", "an alias cannot stand here: write out what it stands for")
	} else {
		t.root = r.file(t)
	}
	t.problems = r.problems
	return t
}

// reader translates one file.
type reader struct {
	Options
	doc      *config.Document
	problems config.Problems
	meant    map[string]bool // keys that a mistyped one was taken to mean, by path

	top         object
	metricNames []string // of all services, as far as they can be read
	allMetrics  bool     // metricNames are all of them
	interval    *yaml.Node
	pages       pages
}

func (r *reader) bad(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, r.doc.Problem(n, path, fmt.Sprintf(format, args...)))
}

// missing says that a key is needed, unless a mistyped one was taken to mean it.
func (r *reader) missing(o object, name, want string) {
	if path := o.path(name); !r.meant[path] {
		r.bad(o.at, path, "is needed: %s", want)
	}
}

// file translates the whole.
func (r *reader) file(t *Translation) *yaml.Node {
	r.top = r.object(whole(r.doc.Root), "")
	known := []string{keyPort, keyInterval, keyLogLevel, keyServices, keyLabels}
	for _, m := range r.top.members {
		if !slices.Contains(known, m.key.Value) {
			r.noKey(m.key, "", "no setting", known)
		}
	}
	t.LogLevel = r.logLevel()
	r.interval = r.schedule()
	jobs := r.services()
	if jobs == nil {
		return nil
	}
	root := mapping(r.doc.Root)
	add(root, text(r.pages.ports[0], "sinks"), r.sinks(jobs))
	add(root, text(r.doc.Root, "jobs"), jobs)
	return root
}

// noKey says that a key, or what else is chosen from a list, is unknown.
func (r *reader) noKey(key *yaml.Node, path, what string, known []string) {
	if meant := config.Closest(key.Value, known); meant != "" {
		r.meant[join(path, meant)] = true
		r.bad(key, path, "%s %q; did you mean %q?", what, key.Value, meant)
		return
	}
	r.bad(key, path, "%s %q; there are %s", what, key.Value, strings.Join(known, ", "))
}

// logLevel is the old level as --log-level has it.
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

// schedule is the interval between two calls, a second at least. The check of our own schedule says which are too long.
func (r *reader) schedule() *yaml.Node {
	m, ok := r.top.get(keyInterval)
	if !ok {
		r.missing(r.top, keyInterval, "the seconds between two calls, such as 60")
		return text(r.doc.Root, "@every 60s")
	}
	seconds, ok := number(m.value)
	if !ok || seconds < 0 {
		r.bad(m.value, keyInterval, "want a number of seconds, such as 60")
		seconds = 60
	}
	n := text(m.value, "@every "+strconv.FormatFloat(max(seconds, 1), 'f', -1, 64)+"s")
	switch {
	case seconds < 1:
		n.LineComment = comment("was " + m.value.Value + "; a job runs once a second at most, and calls between two scrapes of the page show nothing more")
	case seconds < 15:
		n.LineComment = "# as it was; calls between two scrapes of the page show nothing more"
	}
	return n
}
