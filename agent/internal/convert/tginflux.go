package convert

import (
	"cmp"
	"slices"
	"strings"
)

// asItIs converts an input whose metric names are in the data: line protocol, or the format of Prometheus. It returns false for other
// formats.
func (t *telegraf) asItIs(plugin string, n *node, j *job, tags []tagOut) bool {
	switch cmp.Or(n.str("data_format"), "influx") {
	case "influx":
		t.influx(plugin, n, j, tags)
		return true
	case "prometheus":
		if j.kind == "http" {
			return false
		}
		t.exposition(n, j)
		return true
	}
	return false
}

// exposition makes a job that passes on metrics in the format of Prometheus.
func (t *telegraf) exposition(n *node, j *job) {
	j.passedOn = true
	for _, key := range append([]string{"name_override", "name_prefix", "name_suffix", "tags"}, filterKeys()...) {
		if n.has(key) {
			t.out.lose(&j.notes, n.get(key).line, key, "there is no counterpart for metrics that are passed on: write metric_relabel_configs")
		}
	}
	for _, m := range append(t.root.pairs("global_tags"), t.root.pairs("tags")...) {
		if m.key == "host" && !t.root.is("agent", "omit_hostname") {
			continue // Telegraf does not use it
		}
		t.out.lose(&j.notes, m.line, m.key, "there is no counterpart for metrics that are passed on: write metric_relabel_configs")
	}
	if agent := t.root.get("agent"); !agent.is("omit_hostname") {
		if name := agent.get("hostname"); name.empty() {
			t.machineNote("host")
		} else {
			t.out.lose(&j.notes, name.line, "hostname", "there is no counterpart for metrics that are passed on: write metric_relabel_configs")
		}
	}
	t.notProcessed(j, "")
}

// notProcessed adds a note for each processor: processors are not applied to metrics whose names come from the data. The argument name is
// the name of the measurement, or "" if this name comes from the data too.
func (t *telegraf) notProcessed(j *job, name string) {
	for _, p := range t.processors {
		if name != "" && !(filter{p.n}).measurement(name) {
			continue
		}
		t.out.lose(&j.notes, p.n.line, "processors."+p.name, "it is not applied to metrics whose names come out of data")
	}
}

// filterKeys returns the settings that choose metrics.
func filterKeys() []string {
	return []string{
		"namepass", "namedrop", "fieldpass", "fieldinclude", "fielddrop", "fieldexclude", "taginclude", "tagexclude", "tagpass", "tagdrop", "metricpass",
	}
}

// influx makes one metric from all fields of a source in line protocol. The names of its series come from the data.
func (t *telegraf) influx(plugin string, n *node, j *job, tags []tagOut) {
	put(j.settings, "format", "influx")
	measurement := ".measurement"
	if name := n.str("name_override"); name != "" {
		measurement = quote(name)
	}
	for i, fix := range []string{n.str("name_prefix"), n.str("name_suffix")} {
		switch {
		case fix != "" && i == 0:
			measurement = quote(fix) + " + " + measurement
		case fix != "":
			measurement += " + " + quote(fix)
		}
	}
	labels := t.constantTags(n, j, tags) + " + $t"
	own := filter{n}
	items, fields := ".[]"+own.test(".measurement", "namepass", "namedrop")+" | ("+measurement+") as $m | .tags as $t | .fields as $f", ""
	for _, f := range append([]filter{own}, t.filters()...) {
		if f != own { // the filter of the input has already been applied, to the name in the data
			items += f.test("$m", "namepass", "namedrop")
		}
		fields += f.test(".key", "fieldpass fieldinclude", "fielddrop fieldexclude")
		if keep := f.test(".key", "taginclude", "tagexclude"); keep != "" {
			labels = "(" + labels + " | with_entries(" + strings.TrimPrefix(keep, " | ") + "))"
		}
		for _, key := range []string{"tagpass", "tagdrop", "metricpass"} {
			if f.n.has(key) {
				t.out.lose(&j.notes, f.n.get(key).line, key, "it is not applied to metrics whose names come out of data")
			}
		}
	}
	if t.strings { // texts are labels too; a tag takes precedence
		labels = "($f | with_entries(select(.value | type == \"string\")" + fields + ")) + (" + labels + ")"
	}
	items += " | (" + labels + ") as $l | $f | to_entries[]" + fields + ` | select(.value | type == "number" or type == "boolean") | {name: `
	if t.version == 1 {
		items += `(if .key == "value" then $m else $m + "_" + .key end)`
	} else {
		items += `($m + "_" + .key)`
	}
	items += ", value: .value, labels: $l}"
	name := sanitize(cmp.Or(n.str("name_override"), plugin), true)
	m := &metricOut{
		name: name, kind: "gauge", help: "Telegraf collected metric", items: items, value: ".value", duplicate: "last",
		nameFrom: `.name | gsub("[^a-zA-Z0-9_:]"; "_")`, labelsFrom: ".labels",
	}
	if t.times {
		say(&j.notes, n.line, "timestamp", "the timestamps of the lines are not used: the samples have the time of the run")
	}
	known := ""
	if name := n.str("name_override"); name != "" {
		known = n.str("name_prefix") + name + n.str("name_suffix")
	}
	t.notProcessed(j, known)
	j.metrics = append(j.metrics, m)
}

// constantTags returns a jq object of the tags of an input that do not come out of the data: those of the plugin and of the configuration. It
// adds notes about what the labels lose.
func (t *telegraf) constantTags(n *node, j *job, tags []tagOut) string {
	b := &block{tags: tags}
	t.tags(n, b, true, true)
	var members []string
	for _, x := range b.tags {
		if !x.machine {
			members = append(members, quote(x.name)+": "+x.text())
		}
		if slices.ContainsFunc(append(t.filters(), filter{n}), func(f filter) bool { return !f.tag(x.name) }) {
			continue
		}
		t.out.loseAll(&j.notes, x.notes)
		if x.machine {
			t.machineNote(sanitize(x.name, false))
		}
	}
	return "{" + strings.Join(members, ", ") + "}"
}

// filters returns the filters of the outputs.
func (t *telegraf) filters() (all []filter) {
	for _, o := range t.outputs {
		all = append(all, filter{o})
	}
	return all
}

// test returns a part of a jq pipe. This part keeps the values that match the settings named in the argument "pass", and that do not
// match the settings named in the argument "drop". Names are separated by spaces. The result is "" if none of these settings is set.
func (f filter) test(value, pass, drop string) string {
	text := ""
	if g := f.of(strings.Fields(pass)...); len(g) > 0 {
		text += " | select(" + value + " | test(" + quote(g.pattern()) + "))"
	}
	if g := f.of(strings.Fields(drop)...); len(g) > 0 {
		text += " | select(" + value + " | test(" + quote(g.pattern()) + ") | not)"
	}
	return text
}
