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

// services translates the services, nil where there are none. It finds their pages on the way.
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
		r.bad(m.key, keyServices, "names no service")
	}
	if r.Service != "" && len(names) > 0 && !slices.Contains(names, r.Service) {
		r.noKey(text(m.key, r.Service), keyServices, "no service", names)
	}
	r.metricNames, r.allMetrics = metricsOf(all)
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

// service translates one service to a job.
func (r *reader) service(s member, o object) *yaml.Node {
	r.mistyped(o)
	r.port(s, o)
	job, settings, secrets := mapping(s.value), mapping(s.value), r.secrets(o)
	add(job, text(r.interval, "schedule"), r.interval)
	if url, ok := o.get(keyURL); ok {
		fetch := mapping(url.value)
		add(fetch, text(url.key, "url"), clean(url.value))
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
	kind, source := r.source(s, o)
	if len(settings.Content) > 0 {
		add(source, text(s.key, "settings"), settings)
	}
	if secrets != nil {
		add(source, text(secrets, "secrets"), secrets)
	}
	add(source, text(s.key, "metrics"), r.metrics(o))
	add(job, text(s.key, kind), source)
	return job
}

// withHint says at a key where headers go, with a secret to send, if there is one.
func withHint(key, secrets *yaml.Node) *yaml.Node {
	example := `"env:API_KEY"`
	if secrets != nil {
		example = strconv.Quote(secrets.Content[1].Value)
	}
	key.HeadComment = comment("What the class set as headers and params goes in here: headers: {X-Api-Key: " + example + "}, query: {limit: 100}")
	return key
}

// source is the kind that computes the service's metrics, and the settings of it that say where the code is.
func (r *reader) source(s member, o object) (kind string, settings *yaml.Node) {
	settings = mapping(s.value)
	class, _ := r.word(o, keyClass)
	for _, k := range r.Catalogue.Sources {
		if k.Name == class {
			return class, settings
		}
	}
	module, at := r.word(o, keyModule)
	if at == nil {
		r.missing(o, keyModule, "the name of the script that has the service's functions, without .star")
		at = s.key
	}
	file := strings.ReplaceAll(module, ".", "/") + ".star"
	path := filepath.Join(r.Files.Dir, file)
	_, err := os.Stat(path)
	switch bare, extended := strings.CutSuffix(strings.TrimSuffix(module, ".star"), ".py"); {
	case extended || strings.HasSuffix(module, ".star"):
		r.bad(at, o.path(keyModule), "want the name without its ending, as Python imports it: %q", bare)
	case module != "" && !fs.ValidPath(file):
		r.bad(at, o.path(keyModule), "want a name as Python imports it, from the folder of this file on, such as splunk_api or package.splunk_api")
	case module != "" && err != nil:
		r.bad(at, o.path(keyModule), "there is no %s: write the class's functions there in Starlark (see cton explain script), or build cton with a source in Go that has the name of service_class%s", path, r.of(class))
	}
	add(settings, text(at, "file"), text(at, file))
	return "script", settings
}

// secrets are references to each line of the service's secret file, nil where it has none.
func (r *reader) secrets(o object) *yaml.Node {
	path, at := r.word(o, keySecrets)
	if path == "" {
		return nil
	}
	const want = `; it holds lines such as API_KEY="…"`
	if strings.Contains(path, "#") {
		r.bad(at, o.path(keySecrets), "a path with # in it cannot be referred to: rename the file")
		return nil
	}
	names, err := r.Files.Keys(path)
	switch {
	case r.WithoutSecrets && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		r.bad(at, o.path(keySecrets), "%v%s", err, want)
		return nil
	case len(names) == 0:
		r.bad(at, o.path(keySecrets), "%s names no secret%s", path, want)
		return nil
	}
	all := mapping(at)
	for _, name := range names {
		add(all, text(at, name), text(at, "file:"+path+"#"+name))
	}
	return all
}

// of is a class to show behind what names it, with the class in Go that may be meant.
func (r *reader) of(class string) string {
	if class == "" {
		return ""
	}
	var known []string
	for _, k := range r.Catalogue.Sources {
		if first, _ := utf8.DecodeRuneInString(k.Name); unicode.IsUpper(first) { // a class, no kind of the agent's own
			known = append(known, k.Name)
		}
	}
	if meant := config.Closest(class, known); meant != "" {
		return fmt.Sprintf(", %q; did you mean %q, which this cton has?", class, meant)
	}
	return fmt.Sprintf(", %q", class)
}
