package convert

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func quoteMeta(s string) string { return regexp.QuoteMeta(s) }

// sinks adds the remote_write sinks and the external labels. If the argument "own" is true, the metrics of the jobs have the labels job
// and instance themselves. These labels must then replace those that the agent adds.
func (p *prometheus) sinks(own bool) {
	for _, m := range p.root.pairs("global", "external_labels") {
		if m.key == "job" || !labelName(m.key) || strings.HasPrefix(m.key, "__") {
			p.out.lose(&p.out.problems, m.line, m.key, "it cannot be an external label here")
			continue
		}
		if substituted(m.value.str()) {
			p.out.lose(&p.out.problems, m.line, m.key, "it refers to a variable, which cton does not replace: the external label is left out")
			continue
		}
		if p.out.external == nil {
			p.out.external = map[string]string{}
		}
		p.out.external[m.key] = p.out.publicLabel(&p.out.problems, m.line, m.key, m.value.str())
	}
	for _, n := range p.root.list("remote_write") {
		p.remoteWrite(n, own)
	}
}

// defaultSink adds a page if there is no sink.
func (o *output) defaultSink(notes ...note) {
	if len(o.sinks) == 0 {
		o.sinks = append(o.sinks, sink{name: "page", kind: "expose", settings: object("listen", ":8000"), notes: notes})
	}
}

func (p *prometheus) remoteWrite(n *node, own bool) {
	s := sink{name: word(cmp.Or(n.str("name"), "remote")), kind: "remote_write"}
	for i := 2; slices.ContainsFunc(p.out.sinks, func(o sink) bool { return o.name == s.name }); i++ {
		s.name = word(cmp.Or(n.str("name"), "remote")) + "-" + string(rune('0'+i%10)) + strings.Repeat("x", i/10)
	}
	a, ok := split(n.str("url"), s.name, n.get("url").at(n.line))
	if !ok || a.url == "" || len(a.query.Content) > 0 {
		p.out.lose(&p.out.problems, n.line, "remote_write", "the address can hold a secret or is no URL; the sink is left out")
		return
	}
	s.notes = append(s.notes, a.notes...)
	c := client{p.out, &s.notes, s.name}
	c.variables(n.line, "url", a.url)
	set := object("url", a.url, "headers", c.headers(n.get("headers")))
	if a.user != "" || a.password != "" {
		put(set, "basic_auth", object("username", a.user, "password", a.password))
	}
	c.apply(set, n)
	for _, m := range n.pairs() {
		p.remoteWriteKey(set, m, &s)
	}
	c.single(set, n.line)
	rules := &yaml.Node{Kind: yaml.SequenceNode}
	if own {
		rules.Content = append(rules.Content, ownLabels()...)
	}
	rules.Content = append(rules.Content, ruleNodes(p.out, &s.notes, n.list("write_relabel_configs")).Content...)
	put(set, "write_relabel_configs", rules)
	s.settings = set
	p.out.sinks = append(p.out.sinks, s)
}

// ownLabels returns rules that replace the labels job and instance of the agent by those of the series.
func ownLabels() []*yaml.Node {
	return []*yaml.Node{
		rule("source_labels", []string{"exported_job"}, "regex", "(.+)", "target_label", "job"),
		rule("source_labels", []string{"exported_instance"}, "regex", "(.+)", "target_label", "instance"),
		rule("regex", "exported_(job|instance)", "action", "labeldrop"),
	}
}

func (p *prometheus) remoteWriteKey(set *yaml.Node, m member, s *sink) {
	switch m.key {
	case "url", "name", "headers", "write_relabel_configs", "basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", "tls_config",
		"proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "follow_redirects", "enable_http2", "http_headers":
	case "remote_timeout":
		put(set, "timeout", m.value.str())
	case "queue_config":
		for _, q := range m.value.pairs() {
			if q.key == "max_samples_per_send" {
				put(set, "request", object("max_samples", plain(q.value.str())))
				continue
			}
			p.out.lose(&s.notes, q.line, q.key, "there is no counterpart")
		}
	case "sigv4":
		region, access, secret := m.value.str("region"), m.value.str("access_key"), m.value.str("secret_key")
		if access == "" || secret == "" || m.value.has("role_arn") {
			p.out.lose(&s.notes, m.line, "sigv4", "cton needs the region and both keys here: add sigv4")
			return
		}
		a, k := reference(s.name, "access_key"), reference(s.name, "secret_key")
		say(&s.notes, m.line, "sigv4", "the keys are not copied: set %s and %s", strings.TrimPrefix(a, "env:"), strings.TrimPrefix(k, "env:"))
		put(set, "sigv4", object("region", region, "access_key", a, "secret_key", k))
	case "send_exemplars", "send_native_histograms", "metadata_config", "round_robin_dns", "protobuf_message":
		say(&s.notes, m.line, m.key, "there is no counterpart")
	default:
		p.out.lose(&s.notes, m.line, m.key, "there is no counterpart")
	}
}

// probe is a request that Prometheus sends to json_exporter.
type probe struct {
	job, module, target string
	schedule, timeout   string
	line                int
	labels              map[string]string
	honor               bool
	rules               []*node // metric_relabel_configs
	notes               []note
}

// probes returns the probes for the modules, in the order of the scrape jobs.
func (p *prometheus) probes(modules map[string]bool) []probe {
	var all []probe
	exporters := map[string]bool{}
	jobs := p.scrapeJobs()
	for i := range jobs {
		j := &jobs[i]
		var own []probe
		for _, t := range j.targets {
			module := cmp.Or(t.params.Get("module"), "default")
			if !strings.HasSuffix(t.path, "/probe") || !modules[module] || t.params.Get("target") == "" {
				continue
			}
			exporters[t.host] = true
			own = append(own, probe{
				job: j.name, module: module, target: t.params.Get("target"), schedule: j.interval, timeout: j.timeout, line: t.line,
				labels: t.labels, honor: j.node.is("honor_labels"), rules: j.node.list("metric_relabel_configs"),
			})
		}
		if len(own) > 0 {
			own[0].notes = j.notes
		}
		all = append(all, own...)
	}
	p.others(jobs, modules, exporters)
	return all
}

// others adds notes about the scrape jobs that are not converted.
func (p *prometheus) others(jobs []scrapeJob, modules, exporters map[string]bool) {
	for _, j := range jobs {
		probing := slices.ContainsFunc(j.targets, func(t target) bool {
			return strings.HasSuffix(t.path, "/probe") && modules[cmp.Or(t.params.Get("module"), "default")] && t.params.Get("target") != ""
		})
		page := slices.ContainsFunc(j.targets, func(t target) bool { return exporters[t.host] })
		switch {
		case probing:
		case page:
			say(&p.out.problems, j.node.line, "job_name", "%s scrapes json_exporter itself, which is no longer needed", word(j.name))
		default:
			say(&p.out.problems, j.node.line, "job_name", "%s is no probe of json_exporter and is not converted here; convert the file alone for it", word(j.name))
		}
	}
}

// finish adds the labels of the target to a job's metrics, as Prometheus does when it scrapes. A job with targets adds these labels itself.
func (p probe) finish(o *output, j *job) {
	j.notes = append(j.notes, p.notes...)
	for _, m := range j.metrics {
		for _, name := range slices.Sorted(maps.Keys(p.labels)) {
			_, is := m.labels[name]
			_, constant := m.constant[name]
			switch {
			case !is && !constant:
			case p.honor:
				continue
			default:
				rename(m.labels, name, "exported_"+name)
				rename(m.constant, name, "exported_"+name)
			}
			if !j.targets {
				m.constant[name] = p.labels[name]
			}
		}
	}
	for _, r := range p.rules {
		if r.str("action") != "labeldrop" {
			o.lose(&j.notes, r.line, "metric_relabel_configs", "there is no counterpart for a job of this kind")
			continue
		}
		re, err := regexp.Compile("^(?s:" + r.str("regex") + ")$")
		if err != nil {
			continue
		}
		for _, m := range j.metrics {
			maps.DeleteFunc(m.labels, func(k, _ string) bool { return re.MatchString(k) })
			maps.DeleteFunc(m.constant, func(k, _ string) bool { return re.MatchString(k) })
		}
	}
}

func rename(m map[string]string, from, to string) {
	if v, ok := m[from]; ok {
		delete(m, from)
		m[to] = v
	}
}
