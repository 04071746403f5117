package convert

import (
	"errors"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
)

// maxRepairs is how many times the result is checked.
const maxRepairs = 20

// repair removes the parts of the result that the check of a configuration refuses, so that the other parts can be used.
func (o *output) repair(catalogue config.Catalogue) {
	if len(catalogue.Sources) == 0 {
		return
	}
	for range maxRepairs {
		text, err := o.YAML()
		if err != nil {
			return
		}
		_, err = config.Load("cton.yaml", text, catalogue)
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || len(o.jobs) == 0 {
			return
		}
		before := o.lost
		for _, p := range problems {
			o.remove(p.Path)
		}
		o.jobs = slices.DeleteFunc(o.jobs, func(j *job) bool { return j.kind != "scrape" && !j.passedOn && len(j.metrics) == 0 })
		if o.lost == before { // the problems concern the whole file
			o.lose(&o.problems, 0, "", "the result is not valid as a whole and has no jobs")
			o.jobs = nil
		}
	}
	o.jobs = nil
}

// remove removes the metric, the job or the sink to which a setting belongs.
func (o *output) remove(path string) {
	for i, s := range o.sinks {
		if under(path, "sinks."+s.name) {
			o.lose(&o.problems, 0, "sinks", "%s is left out, since %s is not valid as converted", s.name, word(path))
			o.sinks = slices.Delete(o.sinks, i, i+1)
			o.defaultSink()
			return
		}
	}
	for i, j := range o.jobs {
		if !under(path, "jobs."+j.name) {
			continue
		}
		for k, m := range j.metrics {
			if under(path, "jobs."+j.name+".metrics."+m.name) {
				o.lose(&o.problems, 0, m.name, "the metric is left out, since %s is not valid as converted", word(path))
				j.metrics = slices.Delete(j.metrics, k, k+1)
				return
			}
		}
		o.lose(&o.problems, 0, word(j.name), "the job is left out, since %s is not valid as converted", word(path))
		o.problems = append(o.problems, j.notes...)
		o.jobs = slices.Delete(o.jobs, i, i+1)
		return
	}
	if under(path, "external_labels") {
		o.lose(&o.problems, 0, "external_labels", "they are not valid as converted and left out")
		o.external = nil
	}
}

// under reports whether the path of a setting is equal to the argument "name", or begins with this argument and a dot.
func under(path, name string) bool { return path == name || strings.HasPrefix(path, name+".") }
