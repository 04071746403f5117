package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"
)

// scrape adds the jobs of an entry. Targets with the same labels and different addresses become one job.
func (p *prometheus) scrape(s scrapeJob) {
	groups := scrapeGroups(s)
	if len(groups) == 0 {
		for _, n := range s.notes {
			n.text += " (of the job " + word(s.name) + ", which has no targets and is left out)"
			p.out.problems = append(p.out.problems, n)
		}
		if len(s.notes) == 0 {
			p.out.lose(&p.out.problems, s.node.line, "job_name", "%s has no targets and is left out", word(s.name))
		}
		return
	}
	if s.node.has("file_sd_configs") {
		say(&s.notes, s.node.line, "file_sd_configs", "the targets are those that the files list now")
	}
	for i, g := range groups {
		j := &job{name: s.name, schedule: s.interval, timeout: s.timeout, kind: "scrape"}
		if i == 0 {
			j.notes = s.notes
		}
		j.name, j.named = p.out.unused(j.name), true
		j.settings = p.scrapeSettings(s, g, j, i == 0)
		p.out.add(j)
	}
}

// scrapeGroup is targets of an entry that become one job.
type scrapeGroup struct {
	targets  []target
	distinct map[string]bool // the host of each target, or its instance
	key      string          // what all targets have in common, as text
	param    string          // name of the parameter whose value is the instance, as for the blackbox exporter; "" = none
}

// scrapeGroups groups the targets of an entry. The targets of a group have the same labels, except for the label instance. They differ
// either in their hosts, or in the values of the parameter that gives the instance.
func scrapeGroups(s scrapeJob) []*scrapeGroup {
	var groups []*scrapeGroup
	for _, t := range s.targets {
		others := maps.Clone(t.labels)
		delete(others, "instance")
		own, param := t.host, t.instanceParam(&s)
		if param != "" {
			own = t.labels["instance"]
		}
		key := fmt.Sprint(param, others)
		i := slices.IndexFunc(groups, func(g *scrapeGroup) bool { return g.key == key && !g.distinct[own] })
		if i < 0 {
			groups = append(groups, &scrapeGroup{distinct: map[string]bool{}, key: key, param: param})
			i = len(groups) - 1
		}
		groups[i].targets = append(groups[i].targets, t)
		groups[i].distinct[own] = true
	}
	return groups
}

// instanceParam returns the name of the URL parameter that relabelling sets to the instance of the target. It returns "" if
// there is none.
func (t *target) instanceParam(j *scrapeJob) string {
	for _, r := range j.node.list("relabel_configs") {
		name, ok := strings.CutPrefix(r.str("target_label"), model.ParamLabelPrefix)
		if ok && t.params.Get(name) == t.labels["instance"] && !secretName(name) && !secretText(t.labels["instance"]) {
			return name
		}
	}
	return ""
}

// scrapeSettings returns the settings of a scrape. Notes are added only if the argument "first" is true. It is true for the first job of
// the entry.
func (p *prometheus) scrapeSettings(s scrapeJob, g *scrapeGroup, j *job, first bool) *yaml.Node {
	notes := &j.notes
	if !first {
		notes = &[]note{} // the first job of the entry has these notes
	}
	set := object()
	var addresses []string
	for _, t := range g.targets {
		addresses = append(addresses, p.address(&t, &j.notes))
	}
	lost := p.out.lost
	put(set, "targets", texts(addresses))
	for _, m := range s.node.pairs() {
		p.scrapeKey(set, m, notes)
	}
	if g.param != "" {
		put(set, "relabel_configs", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{
			rule("source_labels", []string{model.ParamLabelPrefix + g.param}, "target_label", "instance"),
		}})
	}
	rules := g.rules(j.name, s.node.is("honor_labels"))
	rules.Content = append(rules.Content, ruleNodes(p.out, notes, s.node.list("metric_relabel_configs")).Content...)
	put(set, "metric_relabel_configs", rules)
	c := client{p.out, notes, s.name}
	c.apply(set, s.node)
	c.single(set, s.node.line)
	if !first {
		p.out.lost = lost
	}
	return set
}

// rules returns relabelling rules that add the labels of the targets to all series, as Prometheus does when it
// scrapes.
func (g *scrapeGroup) rules(job string, honor bool) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	add := func(pairs ...any) { list.Content = append(list.Content, rule(pairs...)) }
	own := g.targets[0].labels
	for _, name := range slices.Sorted(maps.Keys(own)) {
		value := strings.ReplaceAll(own[name], "$", "$$")
		switch {
		case name == "instance":
		case name == "job":
			if own[name] != job {
				add("source_labels", []string{"job"}, "regex", quoteMeta(job), "target_label", "job", "replacement", value)
			}
		case honor:
			add("source_labels", []string{name}, "regex", "", "target_label", name, "replacement", value)
		default:
			add("source_labels", []string{name}, "regex", "(.+)", "target_label", "exported_"+name)
			add("target_label", name, "replacement", value)
		}
	}
	for _, t := range g.targets {
		if instance := t.labels["instance"]; g.param == "" && instance != t.host {
			add("source_labels", []string{"instance"}, "regex", quoteMeta(t.host), "target_label", "instance", "replacement", strings.ReplaceAll(instance, "$", "$$"))
		}
	}
	return list
}
