package convert

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/jq"
)

// isTelegraf reports whether a file is a configuration of Telegraf.
func isTelegraf(n *node) bool {
	return n.get("inputs") != nil || n.get("outputs") != nil && n.get("agent") != nil
}

// telegraf converts a configuration of Telegraf.
type telegraf struct {
	out     *output
	options Options

	root       *node
	processors []processor
	outputs    []*node // outputs that receive metrics of this configuration; they have filters
	version    int     // metric_version of prometheus_client
	strings    bool    // fields with texts become labels
	times      bool    // timestamps are exported
}

// block is a measurement of an input.
type block struct {
	measurement string
	items       string
	many        bool // there can be several items
	fields      []fieldOut
	tags        []tagOut
	time        string
	timeFormat  string
	timeZone    string
	needs       string   // why the fields are not known; "" if they are
	bare        string   // the items as they were before the method "whole" changed them
	wholes      []string // jq expressions with which the method "whole" was called
	line        int
}

// compiles reports whether a jq expression is valid.
func compiles(text string) bool {
	_, _, err := jq.Compile(text)
	return err == nil
}

// present returns a jq expression for a tag: the value as text. It gives nothing if the value is null or missing.
func present(path string) string { return piped(path, "values | tostring") }

func (t *telegraf) convert(roots []*node) {
	t.root = &node{kind: mapping}
	for _, r := range roots {
		t.root = r // files of one Telegraf are converted one after another
		t.processors = processors(r)
		t.readOutputs()
		for _, kind := range r.pairs("inputs") {
			for _, n := range kind.value.list() {
				t.input(kind.key, n)
			}
		}
		t.variables()
	}
}

// variables looks for variables in the settings of an input, and in the names in rules of processors. It adds a note for each setting and
// each name that refers to a variable, unless there already is a note about its line. It does not look at tags, since labels have notes of
// their own.
func (t *telegraf) variables() {
	noted := map[int]bool{}
	for _, notes := range t.out.allNotes() {
		for _, n := range notes {
			noted[n.line] = true
		}
	}
	var walk func(n *node, key string, wanted func(key string) bool)
	walk = func(n *node, key string, wanted func(key string) bool) {
		if variableIn(n.text) != "" && !noted[n.line] && wanted(key) {
			noted[n.line] = true
			t.out.lose(&t.out.problems, n.line, key, "it refers to a variable, which stays as it is: write its value")
		}
		for _, item := range n.items {
			walk(item, key, wanted)
		}
		for _, m := range n.members {
			if m.read {
				walk(m.value, m.key, wanted)
			}
		}
	}
	for _, kind := range t.root.pairs("inputs") {
		for _, n := range kind.value.list() {
			for _, m := range n.members {
				if m.read && m.key != "tags" {
					walk(m.value, m.key, func(string) bool { return true })
				}
			}
		}
	}
	names := []string{
		"tag", "tags", "field", "fields", "measurement", "dest", "key", "pattern", "result_key", "integer", "unsigned", "float", "boolean",
		"name_override", "name_prefix", "name_suffix",
	}
	for _, p := range t.processors {
		for _, m := range p.n.members {
			if m.key != "tags" || p.name != "override" && p.name != "defaults" {
				walk(m.value, m.key, func(key string) bool { return slices.Contains(names, key) })
			}
		}
	}
}

// input adds the jobs of an input.
func (t *telegraf) input(plugin string, n *node) {
	base := job{schedule: t.interval(n), jitter: t.jitter(n), name: cmp.Or(n.str("name_prefix")+cmp.Or(n.str("name_override"), plugin)+n.str("name_suffix"), plugin)}
	if !n.has("name_override") {
		for _, b := range n.list("json_v2") {
			if m := b.str("measurement_name"); m != "" {
				base.name = n.str("name_prefix") + m + n.str("name_suffix")
				break
			}
		}
	}
	switch plugin {
	case "http", "httpjson":
		t.http(plugin, n, base)
	case "exec":
		t.exec(n, base)
	case "file":
		t.file(n, base)
	case "sql":
		t.sql(n, base)
	default:
		t.out.lose(&t.out.problems, n.line, "inputs."+plugin, "there is no counterpart: for hosts, node_exporter and a scrape")
	}
}

func (t *telegraf) interval(n *node) string {
	interval := n.get("interval")
	if interval.empty() {
		interval = t.root.get("agent", "interval")
	}
	if interval.empty() {
		return every("10s")
	}
	d, err := time.ParseDuration(interval.str())
	if err != nil || d <= 0 {
		d = 10 * time.Second
		t.out.loseOnce(&t.out.problems, interval.line, "interval", "it is not a duration; 10s is assumed")
	}
	return every(short(d))
}

// jitter returns the maximum delay of a run, "" if there is none.
func (t *telegraf) jitter(n *node) string {
	d, err := time.ParseDuration(cmp.Or(n.str("collection_jitter"), t.root.str("agent", "collection_jitter"), "0s"))
	if err != nil || d <= 0 {
		return ""
	}
	return short(d)
}

// finish converts the data format of an input and adds the job. It applies filters and processors, unless the input is passed on as it
// is. The argument "tags" has the constant tags that the plugin adds.
func (t *telegraf) finish(plugin string, n *node, j job, tags []tagOut) {
	job := &j
	job.name, job.named = t.out.unused(job.name), true
	if t.asItIs(plugin, n, job, tags) {
		t.out.add(job)
		return
	}
	r := reading{t: t, n: n, job: job, answer: t.options.Answers[job.name]}
	if r.answer == nil {
		r.answer = t.ask(n, job)
	}
	for _, b := range r.blocks() {
		b.line = cmp.Or(b.line, n.line)
		if b.needs != "" {
			t.out.lose(&job.notes, b.line, "data_format", "%s: add --answer %s=FILE with an answer of the source, or --ask", b.needs, word(job.name))
		}
		t.block(plugin, n, job, b, tags)
	}
	t.out.add(job)
}

// block applies all settings that change a measurement, and adds its metrics. As in Telegraf, measurements are selected by the name and
// the tags in the data. Then the settings rename the measurement and add tags. Only after that, fields and tags are selected.
func (t *telegraf) block(plugin string, n *node, j *job, b *block, tags []tagOut) {
	b.measurement = cmp.Or(b.measurement, plugin)
	for _, x := range tags {
		b.addTag(x)
	}
	b.fields = unique(b.fields)
	own := filter{n}
	if len(b.fields) == 0 || !own.selects(t, b, &j.notes) {
		return
	}
	b.measurement = n.str("name_prefix") + cmp.Or(n.str("name_override"), b.measurement) + n.str("name_suffix")
	t.tags(n, b, true, true)
	if !own.trims(b) {
		return
	}
	t.tags(n, b, n.is("always_include_local_tags"), n.is("always_include_global_tags"))
	for _, p := range t.processors {
		if !t.process(p, b, &j.notes) {
			return
		}
	}
	for _, o := range t.outputs {
		if !(filter{o}).apply(t, b, &j.notes) {
			return
		}
	}
	t.metrics(j, b)
}

// tags adds tags that a block does not have yet: the tags of its input if the argument "local" is true, and the tags of all inputs if the
// argument "global" is true.
func (t *telegraf) tags(n *node, b *block, local, global bool) {
	if local {
		b.addTags(n.pairs("tags"))
	}
	if !global {
		return
	}
	if agent := t.root.get("agent"); !agent.is("omit_hostname") { // the name of the machine wins over a global tag
		host := machineTag()
		if name := agent.get("hostname"); !name.empty() {
			host = constantTag("host", name.str(), name.line, "hostname")
		}
		b.addTag(host)
	}
	b.addTags(t.root.pairs("global_tags"))
	b.addTags(t.root.pairs("tags"))
}

// addTags adds tags of the configuration that a block does not have yet.
func (b *block) addTags(all []member) {
	for _, m := range all {
		b.addTag(constantTag(m.key, m.value.str(), m.line, m.key))
	}
}

// sanitize returns a name as Telegraf writes it in the format of Prometheus.
func sanitize(name string, colon bool) string {
	var b strings.Builder
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || colon && r == ':' || i > 0 && r >= '0' && r <= '9'
		if !ok {
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// metrics adds the metrics of a measurement.
func (t *telegraf) metrics(j *job, b *block) {
	labels, constant := t.labels(j, b)
	for _, f := range b.fields {
		if f.kind != fieldText {
			continue
		}
		name := sanitize(f.name, false)
		if !t.strings || !labelName(name) || labels[name] != "" || constant[name] != "" {
			say(&j.notes, b.line, f.name, "a text is no metric")
			continue
		}
		labels[name] = "(" + f.path + ` | strings) // ""`
	}
	for _, f := range b.fields {
		if f.kind == fieldText {
			continue
		}
		if f.kind == fieldMixed && t.strings {
			t.out.lose(&j.notes, b.line, f.name, "Telegraf makes a label of it where it is a text; here it is no label")
		}
		name := sanitize(b.measurement+"_"+f.name, true)
		if f.name == "value" && t.version == 1 {
			name = sanitize(b.measurement, true)
		}
		m := &metricOut{name: name, kind: "gauge", help: "Telegraf collected metric", items: b.items, labels: maps.Clone(labels), constant: maps.Clone(constant)}
		if m.value = f.number(); f.kind == fieldMapped {
			m.mapped, m.fallback, m.computed = f.mapped, f.fallback, piped(f.path, "numbers, booleans")
		}
		if b.many {
			m.duplicate = "last"
		}
		if t.times && b.time != "" {
			m.time, m.timeFormat, m.timeZone = b.time, b.timeFormat, b.timeZone
		}
		t.place(j, m)
	}
}

// place adds a metric to a job. If the job already has a metric with this name, the two are combined.
func (t *telegraf) place(j *job, m *metricOut) {
	if !goodName(m.name) {
		t.out.lose(&j.notes, 0, "field", "it has no name that a metric can have")
		return
	}
	i := slices.IndexFunc(j.metrics, func(o *metricOut) bool { return o.name == m.name })
	if i < 0 {
		j.metrics = append(j.metrics, m)
		return
	}
	if old := j.metrics[i]; !maps.Equal(old.mapped, m.mapped) || old.fallback != m.fallback {
		old.compute()
		m.compute()
	}
	if old := j.metrics[i]; old.items == m.items && maps.Equal(old.labels, m.labels) && maps.Equal(old.constant, m.constant) {
		old.value = firstOf(old.value, m.value)
		return
	}
	j.metrics[i] = joinMetrics(j.metrics[i], m)
}

// compute replaces the value of a metric by an expression that has the same effect without the map in the field mapped.
func (m *metricOut) compute() {
	if m.computed != "" {
		m.value, m.mapped, m.fallback, m.computed = m.computed, nil, "", ""
	}
}

// joinMetrics combines two metrics with the same name into one.
func joinMetrics(a, b *metricOut) *metricOut {
	x := jsonExporter{out: &output{}}
	var both []entry
	for _, m := range []*metricOut{a, b} {
		both = append(both, entry{metric: m, each: m.items != "", value: m.value, baseText: m.items})
	}
	m := x.merged(both)
	m.value, m.duplicate = ".v", cmp.Or(a.duplicate, b.duplicate)
	m.mapped, m.fallback, m.computed = a.mapped, a.fallback, ""
	return m
}
