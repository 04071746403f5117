package convert

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// isJSONExporter reports whether a file is a configuration of json_exporter.
func isJSONExporter(n *node) bool {
	if n.kind == list {
		return len(n.items) > 0 && n.items[0].has("name") && n.items[0].has("path")
	}
	if n.has("modules") && n.get("modules").kind == mapping {
		for _, m := range n.pairs("modules") {
			if m.value.has("metrics") || m.value.has("http_client_config") || m.value.has("headers") {
				return true
			}
		}
		return false
	}
	for _, m := range n.list("metrics") {
		if m.has("path") {
			return true
		}
	}
	return false
}

// module is a module of json_exporter.
type module struct {
	name    string
	node    *node
	metrics []*node
	old     bool // the module is for json_exporter 0.1, in which paths have no braces
}

func modulesOf(n *node) []module {
	if n.kind == list {
		return []module{{name: "default", node: &node{kind: mapping, line: n.line}, metrics: n.items, old: true}}
	}
	if n.has("metrics") && !n.has("modules") {
		return []module{{name: "default", node: n, metrics: n.list("metrics")}}
	}
	var all []module
	for _, m := range n.pairs("modules") {
		all = append(all, module{name: m.key, node: m.value, metrics: m.value.list("metrics")})
	}
	return all
}

// jsonExporter converts the modules of json_exporter.
type jsonExporter struct {
	out *output
}

// entry is a metric of a module: a name, a value and labels.
type entry struct {
	metric   *metricOut
	base     path   // path to the object, for metrics of type object; otherwise empty
	each     bool   // base is the path of a list of items
	value    string // jq expression of the value within an item, or a number
	fixed    bool   // value is a number, not an expression
	baseText string // jq expression of the items; used instead of base if not empty
}

// metrics converts the metrics of a module.
func (x *jsonExporter) metrics(m module, notes *[]note) []*metricOut {
	var all []entry
	for _, n := range m.metrics {
		all = append(all, x.entries(m, n, notes)...)
	}
	return x.merge(all)
}

// unknown adds a note for each key of a metric that json_exporter does not read.
func (x *jsonExporter) unknown(n *node, notes *[]note) {
	for _, p := range n.pairs() {
		switch p.key {
		case "name", "path", "help", "labels", "type", "valuetype", "values", "allow_missing_key", "engine":
		case "epochTimestamp", "epochtimestamp":
			if p.key == "epochtimestamp" {
				continue
			}
			x.out.lose(notes, p.line, p.key, "json_exporter ignores the key in this spelling: there is no timestamp")
		default:
			x.out.lose(notes, p.line, p.key, "json_exporter does not know the key")
		}
	}
}

// entries returns the entries of a metric. This is one entry, or for a metric of type object one entry for each of its
// values.
func (x *jsonExporter) entries(m module, n *node, jobNotes *[]note) []entry {
	base := &metricOut{name: n.str("name"), help: n.str("help"), labels: map[string]string{}, constant: map[string]string{}}
	if base.help == "" {
		base.help = base.name
	}
	x.unknown(n, &base.notes)
	base.kind = x.typeOf(n, base)
	if base.name == "" || !goodName(base.name) {
		x.out.lose(jobNotes, n.line, "name", "it is missing or not the name of a metric")
		return nil
	}
	if engine := n.str("engine"); engine != "" && engine != "jsonpath" {
		x.out.lose(jobNotes, n.get("engine").line, "engine", "%s: only JSONPath has a counterpart; the metric is left out: write its expressions in jq", word(base.name))
		return nil
	}
	p, err := parseTemplate(n.str("path"), m.old)
	if err != nil {
		x.out.lose(jobNotes, n.get("path").at(n.line), "path", "%s: the metric is left out: %v", word(base.name), err)
		return nil
	}
	for _, t := range p.notes {
		x.out.lose(&base.notes, n.get("path").at(n.line), "path", "%s", t)
	}
	if n.str("type") != "object" {
		e, ok := x.valueEntry(m, n, base, p, jobNotes)
		if !ok {
			return nil
		}
		return []entry{e}
	}
	return x.objectEntries(m, n, base, p, jobNotes)
}

func (n *node) at(line int) int {
	if n == nil {
		return line
	}
	return n.line
}

// typeOf returns the type of a metric.
func (x *jsonExporter) typeOf(n *node, m *metricOut) string {
	key, kind := "valuetype", n.str("valuetype")
	if t := n.str("type"); t != "" && t != "value" && t != "object" {
		x.out.lose(&m.notes, n.get("type").line, "type", "json_exporter measures nothing with this type; taken for valuetype")
		if kind == "" {
			key, kind = "type", t
		}
	}
	switch kind {
	case "", "gauge", "untyped", "counter":
	default:
		x.out.lose(&m.notes, n.get(key).line, key, "unknown type; a gauge is assumed")
	}
	return kind
}

// setType sets the type of a metric. The name of the metric must be final.
func (m *metricOut) setType(kind string, line int) {
	m.kind = "gauge"
	switch {
	case kind != "counter":
	case strings.HasSuffix(m.name, "_total"):
		m.kind = "counter"
	default:
		say(&m.notes, line, "type", "a counter whose name does not end in _total; it is a gauge here, so that the name stays")
	}
}

// valueEntry returns the entry of a metric of type value.
func (x *jsonExporter) valueEntry(m module, n *node, base *metricOut, p parsed, jobNotes *[]note) (entry, bool) {
	metric := base.clone()
	metric.setType(base.kind, n.line)
	e := entry{metric: metric}
	one, ok := p.only()
	if !ok {
		x.out.lose(jobNotes, n.get("path").at(n.line), "path", "%s: text or several paths glued together have no counterpart; the metric is left out", word(metric.name))
		return entry{}, false
	}
	cut := lastEach(one.steps)
	if cut == 0 {
		e.value = one.jq()
		x.labels(m, n, e.metric, nil, jobNotes)
		return e, true
	}
	// For several matches, json_exporter joins the values with spaces, which does not give a number. The user probably
	// wanted one series for each match.
	x.out.lose(&metric.notes, n.get("path").at(n.line), "path", "json_exporter joins several matches, which is no number; converted to one series for each")
	e.base, e.each = path{steps: one.steps[:cut]}, true
	e.value = join(one.steps[cut:])
	x.labels(m, n, e.metric, one.steps[:cut], jobNotes)
	return e, true
}

// lastEach returns the number of steps up to and including the last step that can give several values. It returns 0 if there
// is none.
func lastEach(steps []step) int {
	for i := len(steps) - 1; i >= 0; i-- {
		switch steps[i].kind {
		case stepEach, stepSlice, stepUnion, stepDeep:
			return i + 1
		}
	}
	return 0
}

// objectEntries returns the entries of a metric of type object.
func (x *jsonExporter) objectEntries(m module, n *node, base *metricOut, p parsed, jobNotes *[]note) []entry {
	one, ok := p.only()
	if !ok {
		x.out.lose(jobNotes, n.get("path").at(n.line), "path", "%s: text or several paths glued together have no counterpart; the metric is left out", word(base.name))
		return nil
	}
	x.labels(m, n, base, nil, jobNotes)
	var all []entry
	for _, v := range n.pairs("values") {
		metric := base.clone()
		metric.name += "_" + v.key
		metric.setType(base.kind, n.line)
		if !goodName(metric.name) {
			x.out.lose(jobNotes, v.line, v.key, "not the name of a metric")
			continue
		}
		e := entry{metric: metric, base: one, each: len(one.steps) > 0}
		text := v.value.str()
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			e.value, e.fixed = text, true
			all = append(all, e)
			continue
		}
		value, err := parseTemplate(text, m.old)
		inner, single := value.only()
		if err != nil || !single {
			x.out.lose(jobNotes, v.line, v.key, "the value is left out: %s", orText(err, "text or several paths glued together have no counterpart"))
			continue
		}
		for _, t := range inner.notes {
			x.out.lose(&metric.notes, v.line, v.key, "%s", t)
		}
		e.value = inner.jq()
		all = append(all, e)
	}
	if len(n.pairs("values")) == 0 {
		x.out.lose(jobNotes, n.line, "values", "%s has none: json_exporter measures nothing", word(base.name))
	}
	return all
}

func orText(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

// labels adds the labels of a metric. prefix has the steps to the items, or is nil. If prefix is set, labels whose paths do
// not begin with these steps are left out.
func (x *jsonExporter) labels(m module, n *node, to *metricOut, prefix []step, notes *[]note) {
	for _, l := range n.pairs("labels") {
		if !labelName(l.key) {
			x.out.lose(notes, l.line, l.key, "not the name of a label")
			continue
		}
		text := l.value.str()
		to.names++
		if m.old && !strings.HasPrefix(text, "$") || !m.old && !strings.Contains(text, "{") {
			if text != "" {
				to.constant[l.key] = x.out.publicLabel(&to.notes, l.line, l.key, text)
			}
			continue
		}
		t, err := parseTemplate(text, m.old)
		if err != nil {
			x.out.lose(&to.notes, l.line, l.key, "the label is left out: %v", err)
			continue
		}
		for _, s := range t.notes {
			x.out.lose(&to.notes, l.line, l.key, "%s", s)
		}
		if prefix != nil && !t.within(prefix) {
			x.out.lose(&to.notes, l.line, l.key, "the label is left out: its path does not lead through the items of the value")
			continue
		}
		to.labels[l.key] = t.label(len(prefix))
	}
	if n.has("epochtimestamp") {
		line := n.get("epochtimestamp").line
		t, err := parseTemplate(n.str("epochtimestamp"), m.old)
		one, ok := t.only()
		if err != nil || !ok || prefix != nil {
			x.out.lose(&to.notes, line, "epochtimestamp", "the path has no counterpart: there is no timestamp")
			return
		}
		to.time, to.timeFormat = one.jq(), "unix_ms"
		say(&to.notes, line, "epochtimestamp", "json_exporter reads a text of digits alone; cton drops a reading without its time")
	}
}

// settings returns the settings for the request of a module.
func (x *jsonExporter) settings(m module, j *job, target string, line int) *yaml.Node {
	c := client{x.out, &j.notes, m.name}
	a, ok := split(target, j.name, line)
	if !ok {
		x.out.lose(&j.notes, line, "target", "the address is not copied, since it is no URL or can hold a secret")
		a = address{url: "http://TARGET"}
	}
	j.notes = append(j.notes, a.notes...)
	c.variables(line, "target", a.url)
	s := object("url", escapeTemplate(a.url))
	if body := m.node.get("body"); body != nil {
		put(s, "method", "POST")
		x.body(s, body, j)
	}
	put(s, "query", a.query)
	put(s, "headers", c.headers(m.node.get("headers")))
	put(s, "format", "json")
	if a.user != "" || a.password != "" {
		put(s, "basic_auth", object("username", a.user, "password", a.password))
	}
	if h := m.node.get("http_client_config"); h != nil {
		c.apply(s, h)
	}
	c.single(s, m.node.line)
	put(s, "valid_status_codes", x.out.statusCodes(&j.notes, m.node, "valid_status_codes"))
	for _, p := range m.node.pairs() {
		switch p.key {
		case "metrics", "headers", "body", "http_client_config", "valid_status_codes", "modules":
		default:
			x.out.lose(&j.notes, p.line, p.key, "json_exporter does not know the key; if your build does, and it changes the answer, put the change before the expressions")
		}
	}
	return s
}

func (x *jsonExporter) body(s *yaml.Node, body *node, j *job) {
	content := body.str("content")
	line := body.get("content").at(body.line)
	switch {
	case secretText(content):
		x.out.lose(&j.notes, line, "content", "the body can hold a secret and is not copied: add it")
		return
	case body.is("templatize") && strings.Contains(content, "{{"):
		x.out.lose(&j.notes, line, "templatize", "the template is of json_exporter, with the parameters of the probe: write it for cton")
	}
	client := client{x.out, &j.notes, j.name}
	client.variables(line, "content", content)
	put(s, "body", escapeTemplate(strings.TrimSuffix(content, "\n")))
}

// convert adds the jobs of all modules.
func (x *jsonExporter) convert(root *node, probes []probe, haveProbes bool) {
	mods := modulesOf(root)
	if !haveProbes {
		for _, m := range mods {
			if len(m.metrics) > 0 {
				probes = append(probes, probe{job: m.name, module: m.name, target: "http://TARGET", line: m.node.line})
			}
		}
	}
	for _, g := range groupProbes(x.out, probes) {
		for _, m := range mods {
			if m.name == g[0].module && len(m.metrics) > 0 {
				x.group(m, g, haveProbes)
			}
		}
	}
}

// group adds the job of a group of probes. If the metrics cannot get the labels of the targets, it adds a job for each probe.
func (x *jsonExporter) group(m module, g probeGroup, isProbe bool) {
	p, lost := g[0], x.out.lost
	j := &job{name: x.out.unused(p.job), named: true, schedule: p.schedule, timeout: p.timeout, kind: "http"}
	if !isProbe {
		j.schedule = every("1m")
		x.out.lose(&j.notes, m.node.line, m.name, "replace http://TARGET by the target of the probe, or convert together with the scrape configuration of Prometheus")
	}
	j.settings = x.settings(m, j, p.target, p.line)
	j.metrics = x.metrics(m, &j.notes)
	if len(g) > 1 && g.apartFrom(j.metrics) {
		x.out.lost = lost
		delete(x.out.reserved, j.name)
		for i := range g {
			x.group(m, g[i:i+1], isProbe)
		}
		return
	}
	if len(g) > 1 {
		g.setTargets(j.settings, j.name)
		j.targets = true
	}
	p.finish(x.out, j)
	x.out.add(j)
}

// add adds a job. It leaves out a job without metrics, and a job that exceeds the limits.
func (o *output) add(j *job) {
	const mostJobs, mostMetrics = 5000, 100_000
	if len(j.metrics) == 0 && j.kind != "scrape" && !j.passedOn {
		for _, n := range j.notes {
			n.text = fmt.Sprintf("%s (of the job %s, which has no metrics and is left out)", n.text, word(j.name))
			o.problems = append(o.problems, n)
		}
		return
	}
	total := 0
	for _, other := range o.jobs {
		total += len(other.metrics)
	}
	if len(o.jobs) >= mostJobs || total+len(j.metrics) > mostMetrics {
		if o.lost++; len(o.problems) == 0 || o.problems[len(o.problems)-1].key != "jobs" {
			o.problems = append(o.problems, note{0, "jobs", "there are too many jobs or metrics for one file: the rest is left out"})
		}
		return
	}
	if !j.named {
		j.name = o.unused(j.name)
	}
	o.jobs = append(o.jobs, j)
}

// unused returns a job name that is not used yet, and reserves it.
func (o *output) unused(name string) string {
	if o.reserved == nil {
		o.reserved = map[string]bool{}
	}
	name = word(strings.TrimSpace(name))
	if name == "" {
		name = "job"
	}
	try := name
	for n := 2; o.reserved[try]; n++ {
		try = name + "-" + strconv.Itoa(n)
	}
	o.reserved[try] = true
	return try
}
