// Package legacy translates the file config.json of the Python framework Collectington
// (https://pypi.org/project/collectington) into a configuration of cton.
//
//	config.json ─▶ translation: YAML nodes of cton, with the lines and columns of config.json ─▶ plan, checked by package config
//	                         └─▶ a YAML file, for cton convert
//
// Each service becomes a job with a script, or with a Go source that has the name of the service's class. Each port becomes a
// sink of kind expose.
package legacy

import (
	"fmt"
	"slices"

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

// Is reports whether a file is a configuration of the Python framework: its top level has the key "services", or another key that only
// the Python framework has, and it has no key of cton.
func Is(file *config.File) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(members(file.Root), func(m member) bool { return slices.Contains(names, m.key.Value) })
	}
	if has(keyServices) {
		return !has("jobs")
	}
	return has(keyPort, keyInterval, keyLogLevel) && !has("jobs", "sinks")
}

// Options are the options of a translation.
type Options struct {
	Service   string // the only service to translate; "" = all services
	Catalogue config.Catalogue
	Files     *setting.SecretStore // resolves paths, and reads the names of secrets, but not their values

	WithoutSecrets bool // accept that a file of secrets is missing: the plan is only checked or converted
	WithoutScripts bool // accept that scripts are missing: the plan is only converted
}

// Translation is a translated file.
type Translation struct {
	LogLevel string   // a value of --log-level; "" if the file does not set it
	Missing  []string // the scripts that do not exist, if that is accepted
	NoSecret []string // the files of secrets that do not exist, if that is accepted

	file      *config.File
	catalogue config.Catalogue
	root      *yaml.Node // nil if there is nothing to translate
	problems  config.Problems
}

// Plan checks the translation and returns its plan. An error is of type config.Problems, with the lines of the old file.
func (t *Translation) Plan() (*config.Plan, error) {
	if t.root == nil {
		return nil, t.problems
	}
	return t.file.Plan(t.root, t.catalogue, t.problems)
}

// Translate translates a file. Problems of the file are returned by [Translation.Plan].
func Translate(file *config.File, o Options) *Translation {
	r := &reader{Options: o, file: file, meant: map[string]bool{}, pages: pages{of: map[string]int{}}}
	t := &Translation{file: file, catalogue: o.Catalogue}
	if alias := findAlias(file.Root); alias != nil {
		r.bad(alias, "", "aliases are not supported in this file: repeat the value instead")
	} else {
		t.root = r.topLevel(t)
	}
	t.problems, t.Missing, t.NoSecret = r.problems, r.missingScripts, r.missingSecrets
	return t
}

// YAML returns the translation as a configuration file for the directory of the old file, with comments where the user has a
// choice. Reading that file gives the same plan as t. The name is the name of the old file.
func (t *Translation) YAML(name string) ([]byte, error) {
	root := *t.root
	level := t.LogLevel
	if level == "" {
		level = "info"
	}
	root.HeadComment = comment(fmt.Sprintf("From %s, for the same folder. Try one service with: cton try NAME", name)) + "\n" +
		comment(fmt.Sprintf("Run all services with: cton --log-level %s. Run one service with: cton -s NAME", level))
	return yaml.Dump(&root, yaml.WithQuotePreference(yaml.QuoteDouble), yaml.WithLineWidth(-1))
}
