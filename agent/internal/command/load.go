package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
)

// load reads the configuration, of one job alone where a service is named.
func (a *App) load(g *globals, service string) (*config.Plan, error) {
	return a.loadAs(g, legacy.Options{Service: service})
}

// loadAs reads the configuration. An old one is translated with these options.
func (a *App) loadAs(g *globals, o legacy.Options) (*config.Plan, error) {
	doc, err := a.parse(g.Config)
	if err != nil {
		return nil, err
	}
	if legacy.Is(doc) {
		legacy.Literals(doc, (&httpclient.Host{Secrets: a.vault}).RememberNamed)
		o.Catalogue, o.Files = a.Catalogue, a.vault
		old := legacy.Translate(doc, o)
		if g.LogLevel == "" {
			a.setLevel(old.LogLevel)
		}
		return old.Plan()
	}
	plan, err := doc.Plan(doc.Root, a.Catalogue, nil)
	if err != nil || o.Service == "" {
		return plan, err
	}
	return plan, keepJobs(plan, []string{o.Service})
}

func (a *App) parse(file string) (*config.File, error) {
	text, err := config.ReadFile(file, a.In)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read %s: there is no such file; name the configuration with -c FILE, or see one at work with: cton demo", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return config.Parse(file, text)
}

// keepJobs leaves only the named jobs in a plan, without the sinks that no more than others go to; no names leave all.
func keepJobs(plan *config.Plan, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var kept []config.Job
	var known []string
	found := map[string]bool{}
	for _, j := range plan.Jobs {
		known = append(known, j.Name)
		for _, name := range names {
			if j.Name == name && !found[name] {
				found[name] = true
				kept = append(kept, j)
			}
		}
	}
	for _, name := range names {
		if !found[name] {
			return fmt.Errorf("no job %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	goes := func(jobs []config.Job, s config.Sink) bool {
		return slices.ContainsFunc(jobs, func(j config.Job) bool { return j.GoesTo(s.Name) })
	}
	plan.Sinks = slices.DeleteFunc(plan.Sinks, func(s config.Sink) bool { return goes(plan.Jobs, s) && !goes(kept, s) })
	plan.Jobs = kept
	return nil
}
