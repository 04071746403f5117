package convert

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// This file joins the probes of similar targets into one job with targets.

// probeGroup is the probes of one module that become one job: one probe, or several similar ones.
type probeGroup []probe

// groupProbes joins probes that belong to the same scrape job and module, and differ only in their address and in the values of their
// labels.
func groupProbes(o *output, all []probe) []probeGroup {
	var groups []probeGroup
	at := map[string]int{} // index of a group, keyed by what its probes have in common
	taken := map[string]bool{}
	for _, p := range all {
		if !p.likeOthers() {
			groups = append(groups, probeGroup{p})
			continue
		}
		same := fmt.Sprintf("%q %q %s %s %q", p.job, p.module, p.schedule, p.timeout, slices.Sorted(maps.Keys(p.labels)))
		if labels := same + fmt.Sprint(p.labels); taken[labels] {
			o.lose(&o.problems, p.line, "targets", "a target of %s has the same labels as another one: it is left out", word(p.job))
			continue
		} else {
			taken[labels] = true
		}
		i, known := at[same]
		if !known {
			i = len(groups)
			at[same], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// likeOthers reports whether a probe can be one of several targets of a job: its address has no secret, and its labels can be those of a
// target.
func (p *probe) likeOthers() bool {
	a, ok := split(p.target, p.job, p.line)
	u, err := url.Parse(a.url)
	switch {
	case !ok || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return false
	case len(a.notes) > 0 || strings.Contains(a.url, "{{") || substituted(a.url):
		return false
	}
	for name := range p.labels {
		if !labelName(name) || name == "le" || name == "quantile" || p.drops(name) {
			return false
		}
	}
	return true
}

// drops reports whether metric_relabel_configs drop a label.
func (p *probe) drops(label string) bool {
	return slices.ContainsFunc(p.rules, func(r *node) bool {
		re, err := regexp.Compile("^(?s:" + r.str("regex") + ")$")
		return r.str("action") == "labeldrop" && (err != nil || re.MatchString(label))
	})
}

// apartFrom reports whether a job with targets cannot give these metrics the labels of its targets. This is so if a metric has the name of
// a metric about targets, or a label that takes precedence over a label of the target.
func (g probeGroup) apartFrom(metrics []*metricOut) bool {
	for _, m := range metrics {
		if m.name == "up" || m.name == "scrape_duration_seconds" {
			return true
		}
		for name := range g[0].labels {
			_, is := m.labels[name]
			_, constant := m.constant[name]
			if g[0].honor && (is || constant) {
				return true
			}
		}
	}
	return false
}

// setTargets puts the targets of a group in place of a request's url. If all targets have the same path, the url stays and has only the path.
func (g probeGroup) setTargets(set *yaml.Node, job string) {
	var urls []*url.URL
	for _, p := range g {
		u, _ := url.Parse(p.target) // likeOthers has parsed it
		u.Fragment = ""
		urls = append(urls, u)
	}
	path := urls[0].RequestURI()
	shared := strings.Trim(urls[0].EscapedPath(), "/") != "" && !slices.ContainsFunc(urls, func(u *url.URL) bool { return u.RequestURI() != path })
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i, p := range g {
		at := urls[i].String()
		if shared {
			at = (&url.URL{Scheme: urls[i].Scheme, Host: urls[i].Host}).String()
		}
		labels := maps.Clone(p.labels)
		if labels["job"] == job {
			delete(labels, "job")
		}
		one := object("url", at, "labels", constants(labels))
		one.Style = yaml.FlowStyle
		list.Content = append(list.Content, one)
	}
	var request []*yaml.Node
	if shared {
		request = []*yaml.Node{text("url"), text(path)}
	}
	request = append(request, text("targets"), list)
	set.Content = append(request, set.Content[2:]...) // the first pair is the url
}
