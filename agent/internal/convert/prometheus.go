package convert

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promrelabel "github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/relabel"
)

// isPrometheus reports whether a file is a configuration of Prometheus, of Prometheus in agent mode, or of vmagent.
func isPrometheus(n *node) bool {
	return n.get("scrape_configs") != nil && n.get("scrape_configs").kind == list
}

// target is a target of a scrape, after relabelling.
type target struct {
	labels  map[string]string // including job and instance
	host    string            // host and port
	scheme  string
	path    string
	params  url.Values
	line    int
	message string // why the target cannot be used; "" if it can
}

// url returns the address of the target's metrics page.
func (t target) url() string {
	u := url.URL{Scheme: t.scheme, Host: t.host, Path: t.path, RawQuery: t.params.Encode()}
	return u.String()
}

// scrapeJob is an entry of scrape_configs.
type scrapeJob struct {
	node     *node
	name     string
	interval string
	timeout  string
	targets  []target
	urls     bool // at least one target is a URL
	valid    bool // the relabelling rules are valid
	notes    []note
}

// prometheus converts a configuration of Prometheus.
type prometheus struct {
	out   *output
	files Files
	root  *node
}

// scrapeJobs returns the entries of scrape_configs together with their targets.
func (p *prometheus) scrapeJobs() []scrapeJob {
	var all []scrapeJob
	for _, n := range p.root.list("scrape_configs") {
		j := scrapeJob{node: n, name: n.str("job_name")}
		interval := p.duration(&j, cmp.Or(n.str("scrape_interval"), p.root.str("global", "scrape_interval")), time.Minute, "scrape_interval")
		timeout := p.duration(&j, cmp.Or(n.str("scrape_timeout"), p.root.str("global", "scrape_timeout")), 10*time.Second, "scrape_timeout")
		j.interval, j.timeout = every(short(interval)), short(min(timeout, interval))
		p.targets(&j)
		all = append(all, j)
	}
	return all
}

func every(interval string) string { return "@every " + interval }

// short returns a duration as text, without parts that are zero at the end.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (p *prometheus) duration(j *scrapeJob, text string, fallback time.Duration, key string) time.Duration {
	if text == "" {
		return fallback
	}
	d, err := model.ParseDuration(text)
	if err != nil || d < model.Duration(time.Second) || d > model.Duration(30*24*time.Hour) {
		if err == nil && d > 0 && d < model.Duration(time.Second) {
			return time.Duration(d)
		}
		p.out.lose(&j.notes, j.node.get(key).at(j.node.line), key, "it is not a duration of use; %s is assumed", short(fallback))
		return fallback
	}
	return time.Duration(d)
}

// targets sets the targets of an entry: those in the file and those in target files, after relabelling.
func (p *prometheus) targets(j *scrapeJob) {
	rules, ok := p.rules(j, "relabel_configs")
	if !ok {
		return
	}
	j.valid = true
	groups := j.node.list("static_configs")
	for _, sd := range j.node.list("file_sd_configs") {
		for _, pattern := range sd.strs("files") {
			groups = append(groups, p.fileTargets(j, sd, pattern)...)
		}
	}
	for _, g := range groups {
		static := map[string]string{}
		for _, l := range g.pairs("labels") {
			static[l.key] = l.value.str()
		}
		for _, address := range g.strs("targets") {
			j.urls = j.urls || strings.Contains(address, "/")
			t, keep := p.relabelled(j, address, static, rules)
			t.line = g.get("targets").at(g.line)
			for _, name := range slices.Sorted(maps.Keys(t.labels)) {
				t.labels[name] = p.out.publicLabel(&j.notes, t.line, name, t.labels[name])
			}
			if t.message != "" {
				p.out.lose(&j.notes, t.line, "targets", "%s", t.message)
				continue
			}
			if keep {
				j.targets = append(j.targets, t)
			}
		}
	}
	for _, m := range j.node.pairs() {
		if strings.HasSuffix(m.key, "_sd_configs") && m.key != "file_sd_configs" && m.key != "http_sd_configs" {
			p.out.lose(&j.notes, m.line, m.key, "there is no counterpart: write its targets into targets, or let it write files for file_sd")
		}
	}
}

// fileTargets returns the target groups in the files that match a pattern. Later changes of these files have no effect.
func (p *prometheus) fileTargets(j *scrapeJob, sd *node, pattern string) []*node {
	line := sd.get("files").at(sd.line)
	var groups []*node
	names, err := p.files.Glob(pattern)
	if err != nil || len(names) == 0 {
		p.out.lose(&j.notes, line, "files", "no file is found for the pattern; its targets are missing")
	}
	for _, name := range names {
		n, err := p.files.tree(name)
		if err != nil || n.kind != list {
			p.out.lose(&j.notes, line, "files", "a file of targets cannot be read; its targets are missing")
			continue
		}
		groups = append(groups, n.items...)
	}
	for _, g := range groups {
		g.line = line
		if t := g.get("targets"); t != nil {
			t.line = line
		}
	}
	return groups
}

// relabelled returns a target after relabelling. It returns false if the rules drop the target.
func (p *prometheus) relabelled(j *scrapeJob, address string, static map[string]string, rules []*promrelabel.Config) (target, bool) {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.JobLabel, j.name)
	b.Set(model.MetricsPathLabel, cmp.Or(j.node.str("metrics_path"), "/metrics"))
	b.Set(model.SchemeLabel, cmp.Or(j.node.str("scheme"), "http"))
	for _, m := range j.node.pairs("params") {
		if values := j.node.strs("params", m.key); len(values) > 0 {
			b.Set(model.ParamLabelPrefix+m.key, values[0])
		}
	}
	for k, v := range static {
		b.Set(k, v)
	}
	if strings.Contains(address, "/") && !hasProbe(j) { // vmagent also accepts a whole URL, or host:port/path
		if u, err := url.Parse(cmp.Or(withScheme(address), address)); err == nil && u.Host != "" && u.User == nil {
			b.Set(model.SchemeLabel, u.Scheme)
			b.Set(model.MetricsPathLabel, cmp.Or(u.Path, "/metrics"))
			address = u.Host
		}
	}
	b.Set(model.AddressLabel, address)
	if !promrelabel.ProcessBuilder(b, rules...) {
		return target{}, false
	}
	t := target{host: b.Get(model.AddressLabel), scheme: b.Get(model.SchemeLabel), path: b.Get(model.MetricsPathLabel), params: url.Values{}, labels: map[string]string{}}
	if t.host == "" {
		return target{}, false
	}
	for _, m := range j.node.pairs("params") {
		if values := j.node.strs("params", m.key); len(values) > 1 {
			t.params[m.key] = slices.Clone(values)
		}
	}
	b.Range(func(l labels.Label) {
		if name, ok := strings.CutPrefix(l.Name, model.ParamLabelPrefix); ok {
			if len(t.params[name]) > 0 {
				t.params[name][0] = l.Value
			} else {
				t.params.Set(name, l.Value)
			}
		}
		if !strings.HasPrefix(l.Name, model.ReservedLabelPrefix) && l.Value != "" {
			t.labels[l.Name] = l.Value
		}
	})
	return t, t.complete(j)
}

func withScheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}

// hasProbe reports whether an entry moves its addresses into a URL parameter.
func hasProbe(j *scrapeJob) bool {
	return slices.ContainsFunc(j.node.list("relabel_configs"), func(r *node) bool {
		return strings.HasPrefix(r.str("target_label"), model.ParamLabelPrefix)
	})
}

// complete adds the port, the path and the labels job and instance. If the target cannot be scraped, it says why in the field message.
func (t *target) complete(j *scrapeJob) bool {
	if t.scheme != "http" && t.scheme != "https" {
		t.message = "the scheme is neither http nor https; the target is left out"
		return true
	}
	if u, err := url.Parse(t.scheme + "://" + t.host); err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		t.message = "it is not host:port; the target is left out"
		return true
	}
	if t.path == "" || t.path[0] != '/' {
		t.path = "/" + t.path
	}
	if i := strings.LastIndexByte(t.host, ':'); i < 0 || strings.HasSuffix(t.host, "]") {
		t.host += map[string]string{"http": ":80", "https": ":443"}[t.scheme]
	}
	if t.labels["instance"] == "" {
		t.labels["instance"] = t.host
	}
	if t.labels["job"] == "" {
		t.labels["job"] = j.name
	}
	return true
}

// rules compiles the relabelling rules of an entry. It returns false if a rule is not valid.
func (p *prometheus) rules(j *scrapeJob, key string) ([]*promrelabel.Config, bool) {
	rules, err := compileRules(j.node.list(key))
	if err != nil {
		p.out.lose(&j.notes, j.node.get(key).at(j.node.line), key, "a rule is not valid; the job is left out")
		return nil, false
	}
	return rules, true
}

func compileRules(all []*node) ([]*promrelabel.Config, error) {
	var rules relabel.Rules
	for _, n := range all {
		r := relabel.Rule{SourceLabels: n.strs("source_labels"), TargetLabel: n.str("target_label"), Action: strings.ToLower(n.str("action"))}
		for _, s := range []struct {
			key string
			to  **string
		}{{"separator", &r.Separator}, {"regex", &r.Regex}, {"replacement", &r.Replacement}} {
			if n.has(s.key) {
				v := n.str(s.key)
				*s.to = &v
			}
		}
		if n.has("modulus") {
			if _, err := fmt.Sscan(n.str("modulus"), &r.Modulus); err != nil {
				return nil, err
			}
		}
		rules = append(rules, r)
	}
	return rules.Compile("rules")
}

// ruleNodes returns relabelling rules as settings of cton.
func ruleNodes(o *output, notes *[]note, all []*node) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, n := range all {
		if _, err := compileRules([]*node{n}); err != nil || n.kind != mapping {
			o.lose(notes, n.line, "relabel_configs", "the rule is not valid and left out")
			continue
		}
		if secretRule(n) {
			o.lose(notes, n.line, "relabel_configs", "the rule can hold a secret and is left out")
			continue
		}
		r := object("source_labels", texts(n.strs("source_labels")))
		for _, key := range []string{"separator", "regex", "target_label", "replacement"} {
			if n.has(key) {
				r.Content = append(r.Content, text(key), text(n.str(key)))
			}
		}
		if n.has("modulus") {
			put(r, "modulus", plain(n.str("modulus")))
		}
		put(r, "action", strings.ToLower(n.str("action")))
		if n.has("if") {
			o.lose(notes, n.get("if").line, "if", "the condition of vmagent has no counterpart; the rule is left out")
			continue
		}
		r.Style = yaml.FlowStyle
		list.Content = append(list.Content, r)
	}
	return list
}

// secretRule reports whether a relabelling rule has an address with a password or a secret parameter, or sets a secret parameter.
func secretRule(n *node) bool {
	replacement, regex := n.str("replacement"), n.str("regex")
	if _, changed := publicValue(replacement); changed && !strings.Contains(replacement, "$") {
		return true
	}
	parameter, ok := strings.CutPrefix(n.str("target_label"), model.ParamLabelPrefix)
	return ok && secretName(parameter) && replacement != "" && !strings.Contains(replacement, "$") || secretText(replacement) || secretText(regex)
}

// rule returns a relabelling rule as a setting. The argument pairs has keys and values alternately.
func rule(pairs ...any) *yaml.Node {
	r := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case string:
			r.Content = append(r.Content, text(pairs[i].(string)), text(v))
		case []string:
			r.Content = append(r.Content, text(pairs[i].(string)), texts(v))
		}
	}
	return r
}

// convert adds the scrape jobs and the sinks.
func (p *prometheus) convert() {
	for _, j := range p.scrapeJobs() {
		switch {
		case j.live() && (len(j.targets) > 0 || j.node.has("file_sd_configs") || j.node.has("http_sd_configs")):
			p.live(j)
		default:
			p.scrape(j)
		}
	}
	p.sinks(false)
}

// address returns a target in the form of cton's settings. Parameters that may be secrets are left out, with a note.
func (p *prometheus) address(t *target, notes *[]note) string {
	for name, values := range t.params {
		if secretName(name) || slices.ContainsFunc(values, secretParameter) {
			p.out.lose(notes, t.line, "params", "a parameter can be a secret and is not copied")
			delete(t.params, name)
		}
	}
	if t.scheme == "http" && t.path == "/metrics" && len(t.params) == 0 {
		return t.host
	}
	return t.url()
}

// secretParameter reports whether the value of a parameter can be a secret, or is an address that contains a secret.
func secretParameter(value string) bool {
	_, changed := publicValue(value)
	return changed || secretText(value)
}

// scrapeKey converts a key of an entry if a scrape of cton has this key too. For other keys it adds a note.
func (p *prometheus) scrapeKey(set *yaml.Node, m member, notes *[]note) {
	switch m.key {
	case "honor_labels":
		put(set, m.key, m.value.is())
	case "honor_timestamps":
		if !m.value.is() {
			put(set, m.key, plain("false"))
		}
	case "sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit":
		if m.value.kind == scalarNumber && m.value.text != "0" {
			put(set, m.key, plain(m.value.text))
		}
	case "body_size_limit":
		if text := m.value.str(); text != "" && text != "0" {
			put(set, m.key, strings.NewReplacer("KB", "KiB", "MB", "MiB", "GB", "GiB").Replace(strings.Replace(text, "i", "", 1)))
		}
	case "fallback_scrape_protocol":
		put(set, m.key, m.value.str())
	case "convert_classic_histograms_to_nhcb", "scrape_native_histograms", "always_scrape_classic_histograms":
		put(set, m.key, m.value.is())
	case "scrape_classic_histograms": // its name before Prometheus 3
		put(set, "always_scrape_classic_histograms", m.value.is())
	case "job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme", "params", "static_configs", "file_sd_configs", "relabel_configs",
		"metric_relabel_configs", "basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", "tls_config", "proxy_url", "no_proxy",
		"proxy_from_environment", "proxy_connect_header", "follow_redirects", "enable_http2", "http_headers":
	case "enable_compression", "scrape_protocols", "keep_dropped_targets", "metric_name_validation_scheme", "track_timestamps_staleness":
		say(notes, m.line, m.key, "there is no counterpart")
	default:
		if !strings.HasSuffix(m.key, "_sd_configs") {
			p.out.lose(notes, m.line, m.key, "there is no counterpart")
		}
	}
}
