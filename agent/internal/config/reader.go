package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/webserver"
)

// reader reads one file into a plan, from top to bottom, and collects its problems. Jobs are read in job.go. Strict decoding
// is in decode.go. The checks of jobs and sinks against each other are in collide.go.
type reader struct {
	*File
	catalogue  Catalogue
	sinksOnly  bool // the file need not have jobs
	problems   Problems
	sinkNames  []string          // names of all sinks in the file, including those with problems
	authNames  []string          // names of all logins in the file, including those with problems
	meant      map[string]bool   // paths of settings that were suggested for an unknown name
	unfilled   map[position]bool // positions of values that could not be filled; they have one problem already
	defaults   *yaml.Node        // defaults of jobs; nil if there are none
	inDefaults bool              // the defaults are being read now
}

// topLevel has the settings at the top level of a file.
type topLevel struct {
	External    map[string]string `yaml:"external_labels"`
	Concurrency int               `yaml:"concurrency"`
	StateFile   string            `yaml:"state_file" setting:"path"`
	Runtime     bool              `yaml:"runtime_metrics"`
	WatchConfig bool              `yaml:"watch_config"`
	Web         Web               `yaml:"web"`
	Own         OwnMetrics        `yaml:"own_metrics"`
	Include     yaml.Node         `yaml:"include"` // was read before
	Defaults    yaml.Node         `yaml:"defaults"`
	Auth        yaml.Node         `yaml:"auth"`
	Sinks       yaml.Node         `yaml:"sinks"`
	Jobs        yaml.Node         `yaml:"jobs"`
}

// Defaults of the top-level settings.
const (
	defaultConcurrency = 64 // how many runs may be active at the same time
	defaultOwnInterval = setting.Duration(2 * time.Minute)
)

func defaultTopLevel() topLevel {
	return topLevel{Concurrency: defaultConcurrency, Own: OwnMetrics{Interval: defaultOwnInterval}}
}

func (r *reader) plan(root *yaml.Node) *Plan {
	t := defaultTopLevel()
	translated := root != r.Root
	written := withoutExtensions(root)
	root = r.load(written, "", &t)
	if len(r.problems) > 0 && t.Jobs.IsZero() && t.Sinks.IsZero() {
		return nil
	}
	plan := &Plan{
		External: t.External, Concurrency: t.Concurrency, StateFile: t.StateFile, Runtime: t.Runtime, WatchConfig: t.WatchConfig, Web: t.Web, Own: t.Own,
	}
	if t.Concurrency < 1 {
		r.bad(find(root, "concurrency"), "concurrency", "want at least 1")
	}
	if t.Web.Listen != "" {
		if err := webserver.CheckSocket(t.Web.Listen); err != nil {
			r.bad(find(root, "web.listen"), "web.listen", "%v", err)
		}
	}
	if n := len(t.Web.Watch); n > MaxWatched {
		r.bad(find(root, "web.watch"), "web.watch", "want at most %d series, not %d", MaxWatched, n)
	}
	r.externalLabels(root, t.External)
	r.auth(plan, &t.Auth)
	r.sinks(plan, &t.Sinks)
	r.ownMetrics(root, &t.Own)
	r.setDefaults(&t.Defaults)
	if !r.sinksOnly || !t.Jobs.IsZero() {
		r.jobs(plan, &t.Jobs)
	}
	plan.root, plan.files = written, r.File
	if len(r.problems) == 0 {
		r.collisions(plan, root)
	}
	if len(r.problems) == 0 && !translated { // a translation does not have the names that its author chose
		r.warn(plan, root)
	}
	return plan
}

func (r *reader) externalLabels(root *yaml.Node, labels map[string]string) {
	for label, value := range labels {
		path := "external_labels." + label
		if err := CheckLabel(label, value); err != nil {
			r.bad(find(root, path), path, "%v", err)
		}
	}
}

// CheckLabel returns an error if a label cannot be added to all series, as external_labels does.
func CheckLabel(name, value string) error {
	switch {
	case !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(name):
		return fmt.Errorf("%q is not a valid label name: use letters, digits and _", name)
	case name == "__name__":
		return errors.New("the label __name__ is the name of the metric: choose another name")
	case name == "job":
		return errors.New("the label job is reserved for the name of the job: choose another name")
	case value == "":
		return errors.New("the value is empty: a label without a value does not exist")
	case !utf8.ValidString(value):
		return errors.New("the value is not UTF-8")
	}
	return nil
}

func (r *reader) ownMetrics(root *yaml.Node, own *OwnMetrics) {
	const path = "own_metrics"
	if own.Interval < setting.Duration(time.Second) {
		r.bad(find(root, path+".interval"), path+".interval", "want at least 1s")
	}
	if own.Sinks != nil {
		_, settings := child(root, path)
		_, list := child(settings, "sinks")
		r.sinkList(list, path+".sinks", own.Sinks)
	}
}

// auth reads the section auth: logins by name.
func (r *reader) auth(plan *Plan, n *yaml.Node) {
	if n.IsZero() {
		return
	}
	r.entries(n, "auth", `logins by name, such as api: {headers: {X-Api-Key: "env:API_KEY"}}`, func(key, value *yaml.Node) {
		if !r.goodName(key, "auth") {
			return
		}
		r.authNames = append(r.authNames, key.Value)
		path := "auth." + key.Value
		a := Auth{Name: key.Value, Settings: &auth.Settings{}}
		before := len(r.problems)
		a.Key = fingerprint(r.load(value, path, a.Settings))
		if len(r.problems) == before {
			r.validate(value, key, path, a.Settings)
		}
		plan.Auth = append(plan.Auth, a)
	})
}

// authNamer is implemented by the Config of each kind that can name a login. These are the kinds with the settings of an
// HTTP client.
type authNamer interface{ AuthName() string }

// authKey checks the login that a kind's settings name and returns its key. It returns "" if they name no login.
func (r *reader) authKey(plan *Plan, n *yaml.Node, path string, c any) string {
	namer, ok := c.(authNamer)
	if !ok || namer.AuthName() == "" {
		return ""
	}
	name := namer.AuthName()
	for _, a := range plan.Auth {
		if a.Name == name {
			return " " + a.Key
		}
	}
	path = join(path, "auth")
	switch {
	case r.authNames == nil:
		r.bad(find(n, "auth"), path, "the file defines no logins: define them under auth at its top level")
	case Closest(name, r.authNames) == "":
		// The name is not shown, since it could be a secret.
		r.bad(find(n, "auth"), path, "unknown login; want one of %s", strings.Join(r.authNames, ", "))
	case !slices.Contains(r.authNames, name):
		r.bad(find(n, "auth"), path, "%s", unknown("login", name, r.authNames))
	}
	return ""
}

func (r *reader) sinks(plan *Plan, n *yaml.Node) {
	r.entries(n, "sinks", `sinks by name, such as page: {expose: {listen: ":8000"}}`, func(key, value *yaml.Node) {
		path := "sinks." + key.Value
		if r.goodName(key, "sinks") {
			r.sinkNames = append(r.sinkNames, key.Value)
			if s, ok := r.sink(plan, key, value, path); ok {
				plan.Sinks = append(plan.Sinks, s)
			}
		}
	})
}

func (r *reader) sink(plan *Plan, key, value *yaml.Node, path string) (Sink, bool) {
	if text := r.sinkKind(key, value); text != "" {
		r.bad(key, path, "%s", text)
		return Sink{}, false
	}
	if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
		r.bad(key, path, "has no kind: want one of %s", strings.Join(r.catalogue.sinkNames(), ", "))
		return Sink{}, false
	}
	if len(value.Content) > 2 {
		r.bad(value.Content[2], path, "a sink can have only one kind; %q is already set", value.Content[0].Value)
		return Sink{}, false
	}
	kindKey, settings := value.Content[0], resolve(value.Content[1])
	for _, kind := range r.catalogue.Sinks {
		if kind.Name != kindKey.Value {
			continue
		}
		path = join(path, kind.Name)
		s := Sink{Name: key.Value, Kind: kind, Config: kind.Defaults()}
		before := len(r.problems)
		filled := r.load(settings, path, s.Config)
		if s.Key = fingerprint(value); filled != settings {
			s.Key += " " + fingerprint(filled)
		}
		if len(r.problems) == before {
			r.validate(settings, kindKey, path, s.Config)
		}
		s.Key += r.authKey(plan, settings, path, s.Config)
		return s, true
	}
	r.bad(kindKey, path, "%s", unknown("kind of sink", kindKey.Value, r.catalogue.sinkNames()))
	return Sink{}, false
}

// entries calls f for each key of a mapping, in the order of the file. If the mapping has no keys, it reports a problem.
func (r *reader) entries(n *yaml.Node, path, want string, f func(key, value *yaml.Node)) {
	n = resolve(n)
	if n == nil || n.IsZero() {
		r.missing(nil, path, want)
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.bad(n, path, "want %s", want)
		return
	}
	seen := map[string]int{}
	for _, p := range pairs(n, 0) {
		if first := seen[p.key.Value]; first > 0 {
			r.bad(p.key, path, "%q is set twice, first in %s", p.key.Value, r.place(first, p.key.Line))
			continue
		}
		seen[p.key.Value] = p.key.Line
		f(p.key, resolve(p.value))
	}
}

// goodName checks the name of a job, a sink or a login.
func (r *reader) goodName(key *yaml.Node, path string) bool {
	err := CheckName(key.Value)
	if err != nil {
		r.bad(key, path, "%s", err)
	}
	return err == nil
}

// maxName is the maximum length of a name, in bytes.
const maxName = 100

// CheckName returns an error if a text cannot be the name of a job, a sink or a login. Such a name can become a label value
// and a part of a URL.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("want a name of 1 to %d bytes, without control characters", maxName)
	}
	return nil
}

// validate calls the kind's own check of settings that were read from n. A problem without a path is reported at key.
func (r *reader) validate(n, key *yaml.Node, path string, v interface{ Validate() error }) {
	for _, p := range setting.Problems(v.Validate()) {
		at := key
		if p.Path != "" {
			if found := find(n, p.Path); found != n {
				at = found
			}
		}
		r.bad(at, join(path, p.Path), "%s", p.Text)
	}
}

// missing reports that a required setting is missing. It does nothing if the reader has already suggested this setting in place of an
// unknown name.
func (r *reader) missing(n *yaml.Node, path, want string) {
	if !r.meant[path] {
		r.bad(n, path, "is required: %s", want)
	}
}

func (r *reader) bad(n *yaml.Node, path, format string, args ...any) {
	if n != nil && r.unfilled[position{n.Line, n.Column}] {
		return
	}
	r.problems = append(r.problems, r.Problem(n, path, fmt.Sprintf(format, args...)))
}

// unknown returns the text of the problem for an unknown name.
func unknown(what, name string, known []string) string {
	text := fmt.Sprintf(`unknown %s "%s"`, what, strings.Trim(strings.ReplaceAll(name, "\n", " "), " "))
	if meant := Closest(name, known); meant != "" {
		return text + `; did you mean "` + meant + `"?`
	}
	return text + "; want one of " + strings.Join(known, ", ")
}
