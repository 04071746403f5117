package convert

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// live reports whether the targets, labels and rules of an entry can be copied unchanged into a scrape of cton. This is not
// possible for targets that are URLs, since they have another meaning in cton.
func (s *scrapeJob) live() bool { return !s.urls && s.valid }

// live adds the jobs of an entry and copies its targets and rules unchanged. There is one job for each group of targets.
func (p *prometheus) live(s scrapeJob) {
	dropped := func(g *node) bool { // the rules have dropped all targets of the group, or the group is empty
		return !slices.ContainsFunc(s.targets, func(t target) bool { return t.line == g.get("targets").at(g.line) })
	}
	groups := slices.DeleteFunc(slices.Clone(s.node.list("static_configs")), dropped)
	if len(groups) == 0 {
		groups = []*node{{kind: mapping, line: s.node.line}}
	}
	lost := p.out.lost
	for i, g := range groups {
		j := &job{name: s.name, schedule: s.interval, timeout: s.timeout, kind: "scrape"}
		j.name, j.named = p.out.unused(j.name), true
		if i == 0 {
			j.notes = s.notes
		}
		j.settings = p.liveSettings(s, g, j, i == 0)
		if i == 0 {
			lost = p.out.lost
		} else {
			p.out.lost, j.notes = lost, nil // the first job has these notes
		}
		p.out.add(j)
	}
}

func (p *prometheus) liveSettings(s scrapeJob, g *node, j *job, first bool) *yaml.Node {
	set := object()
	rules := ruleNodes(p.out, &j.notes, s.node.list("relabel_configs"))
	var addresses []string
	for _, a := range g.strs("targets") {
		if len(rules.Content) == 0 && !strings.Contains(a, ":") { // in Prometheus, the label instance includes the port
			a += map[bool]string{true: ":443", false: ":80"}[s.node.str("scheme") == "https"]
		}
		addresses = append(addresses, a)
	}
	put(set, "targets", texts(addresses))
	labels := map[string]string{}
	for _, l := range g.pairs("labels") {
		labels[l.key], _ = publicValue(l.value.str())
	}
	put(set, "labels", constants(labels))
	if first {
		var files []string
		for _, sd := range s.node.list("file_sd_configs") {
			files = append(files, sd.strs("files")...)
		}
		if len(files) > 0 {
			put(set, "file_sd", object("files", texts(files)))
		}
		p.httpSD(set, s, j)
	}
	if s.node.str("scheme") == "https" {
		put(set, "scheme", "https")
	}
	if path := s.node.str("metrics_path"); path != "/metrics" {
		put(set, "metrics_path", path)
	}
	put(set, "params", p.params(s, j))
	if j.name != s.name {
		byName := rule("source_labels", []string{"job"}, "regex", quoteMeta(j.name), "target_label", "job", "replacement", strings.ReplaceAll(s.name, "$", "$$"))
		rules.Content = append([]*yaml.Node{byName}, rules.Content...)
	}
	put(set, "relabel_configs", rules)
	for _, m := range s.node.pairs() {
		p.scrapeKey(set, m, &j.notes)
	}
	put(set, "metric_relabel_configs", ruleNodes(p.out, &j.notes, s.node.list("metric_relabel_configs")))
	c := client{p.out, &j.notes, s.name}
	c.apply(set, s.node)
	c.single(set, s.node.line)
	return set
}

// params returns the parameters of a scrape. A parameter that can be a secret is replaced by a reference.
func (p *prometheus) params(s scrapeJob, j *job) *yaml.Node {
	all := object()
	for _, m := range s.node.pairs("params") {
		values := s.node.strs("params", m.key)
		if secretName(m.key) || slices.ContainsFunc(values, secretParameter) {
			if secretText(m.key) || len(values) != 1 {
				p.out.lose(&j.notes, m.line, "params", "a parameter can be a secret and is not copied")
				continue
			}
			ref := reference(s.name, m.key)
			say(&j.notes, m.line, m.key, "the parameter is not copied, since it can be a secret: set %s", strings.TrimPrefix(ref, "env:"))
			values = []string{ref}
		}
		put(all, m.key, texts(values))
	}
	return all
}

// httpSD adds the URL that returns a list of targets.
func (p *prometheus) httpSD(set *yaml.Node, s scrapeJob, j *job) {
	for i, sd := range s.node.list("http_sd_configs") {
		a, ok := split(sd.str("url"), s.name, sd.line)
		if i > 0 || !ok || len(a.query.Content) > 0 || a.password != "" {
			p.out.lose(&j.notes, sd.line, "http_sd_configs", "there is room for one, whose address is no secret; this one is left out")
			continue
		}
		h := object("url", a.url, "refresh_interval", sd.str("refresh_interval"))
		c := client{p.out, &j.notes, s.name + "_sd"}
		c.apply(h, sd)
		c.single(h, sd.line)
		put(set, "http_sd", h)
	}
}
