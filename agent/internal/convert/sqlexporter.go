package convert

import (
	"cmp"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"
)

// isSQLExporter reports whether a file is a configuration of sql_exporter, or one of its collector files.
func isSQLExporter(n *node) bool {
	return n.has("collector_name") || n.get("collectors") != nil && n.get("collectors").kind == list || n.has("collector_files") || n.has("target") && n.get("target", "data_source_name") != nil
}

// sqlExporter converts a configuration of sql_exporter.
type sqlExporter struct {
	out        *output
	files      Files
	prom       *prometheus
	collectors []*node
	named      []*node // collector files that were read
	schedule   string
	timeout    string
}

// sqlTarget is a database that is queried.
type sqlTarget struct {
	name     string
	dsn      *node
	constant map[string]string
	globs    []string
	line     int
}

func (x *sqlExporter) convert(roots []*node) {
	for _, root := range roots {
		if root.has("collector_name") {
			x.collectors = append(x.collectors, root)
		}
	}
	for _, root := range roots {
		if root.has("collector_name") {
			continue
		}
		x.times(root)
		x.collectors = append(x.collectors, root.list("collectors")...)
		for _, f := range root.get("collector_files").asList() {
			x.readCollectors(f)
		}
		for _, t := range x.targets(root) {
			x.target(t)
		}
		for _, m := range root.pairs() {
			switch m.key {
			case "global", "target", "jobs", "collectors", "collector_files":
			default:
				x.out.lose(&x.out.problems, m.line, m.key, "sql_exporter does not know the key")
			}
		}
	}
	if len(x.out.jobs) == 0 && len(x.collectors) > 0 && len(x.out.problems) == 0 {
		x.out.lose(&x.out.problems, 0, "", "the collectors have no target: convert them together with the file that has it")
	}
}

// asList returns the items of a list. A scalar is returned as a list of one item.
func (n *node) asList() []*node {
	switch {
	case n == nil:
		return nil
	case n.kind == list:
		return n.items
	}
	return []*node{n}
}

func (x *sqlExporter) times(root *node) {
	x.schedule, x.timeout = every("1m"), ""
	if x.prom != nil {
		if jobs := x.prom.scrapeJobs(); len(jobs) > 0 {
			x.schedule = jobs[0].interval
		}
	}
	if d, err := model.ParseDuration(root.str("global", "min_interval")); err == nil && time.Duration(d) >= time.Second {
		x.schedule = every(short(time.Duration(d)))
	}
	if d, err := model.ParseDuration(root.str("global", "scrape_timeout")); err == nil && d > 0 {
		x.timeout = short(time.Duration(d))
	}
}

func (x *sqlExporter) readCollectors(pattern *node) {
	names, err := x.files.Glob(pattern.str())
	if err != nil || len(names) == 0 {
		x.out.lose(&x.out.problems, pattern.line, "collector_files", "no file is found for the pattern; its collectors are missing")
		return
	}
	for _, name := range names {
		n, err := x.files.tree(name)
		if err != nil {
			x.out.lose(&x.out.problems, pattern.line, "collector_files", "a file cannot be read; its collector is missing")
			continue
		}
		already := slices.ContainsFunc(x.collectors, func(c *node) bool { return c.str("collector_name") == n.str("collector_name") })
		if !already {
			x.collectors, x.named = append(x.collectors, n), append(x.named, n)
		}
	}
}

// targets returns the databases in a file.
func (x *sqlExporter) targets(root *node) []sqlTarget {
	var all []sqlTarget
	if t := root.get("target"); t != nil {
		one := sqlTarget{name: t.str("name"), dsn: t.get("data_source_name"), constant: map[string]string{}, globs: t.strs("collectors"), line: t.line}
		if one.name != "" {
			one.constant["target"] = one.name
		}
		x.labels(one.constant, t)
		all = append(all, one)
	}
	for _, j := range root.list("jobs") {
		for _, s := range j.list("static_configs") {
			for _, t := range s.pairs("targets") {
				name := j.str("job_name")
				one := sqlTarget{name: strings.Trim(name+"-"+t.key, "-"), dsn: t.value, constant: map[string]string{"target": t.key}, globs: j.strs("collectors"), line: t.line}
				if name != "" {
					one.constant["job"] = name
				}
				x.labels(one.constant, s)
				all = append(all, one)
			}
		}
	}
	return all
}

func (x *sqlExporter) labels(to map[string]string, n *node) {
	for _, l := range n.pairs("labels") {
		if !labelName(l.key) {
			x.out.lose(&x.out.problems, l.line, l.key, "not the name of a label")
		} else if l.value.str() != "" {
			to[l.key] = x.out.publicLabel(&x.out.problems, l.line, l.key, l.value.str())
		}
	}
}

// sqlQuery is a query and the metrics made from its result.
type sqlQuery struct {
	text      string
	collector *node
	metrics   []*metricOut
	notes     []note
}

// target adds a job for each query that is sent to a database.
func (x *sqlExporter) target(t sqlTarget) {
	var queries []*sqlQuery
	for _, c := range x.collectors {
		if !slices.ContainsFunc(t.globs, func(g string) bool { ok, err := filepath.Match(g, c.str("collector_name")); return ok && err == nil }) {
			continue
		}
		for _, m := range c.list("metrics") {
			queries = x.metric(queries, c, m, t)
		}
	}
	seen := map[string]int{}
	for _, q := range queries {
		name := cmp.Or(q.collector.str("collector_name"), "sql")
		if t.name != "" {
			name = t.name + "-" + name
		}
		seen[name]++
		j := &job{name: name, schedule: x.schedule, timeout: x.timeout, kind: "sql", metrics: q.metrics, notes: q.notes}
		if d, err := model.ParseDuration(q.collector.str("min_interval")); err == nil && time.Duration(d) >= time.Second {
			j.schedule = every(short(time.Duration(d)))
		}
		set, ok := x.database(t, j)
		if !ok {
			j.metrics = nil
		}
		put(set, "query", strings.TrimRight(strings.TrimSpace(q.text), "; \n"))
		j.settings = set
		x.out.add(j)
	}
	if len(queries) == 0 {
		x.out.lose(&x.out.problems, t.line, "collectors", "the target %s has none that is known", word(t.name))
	}
}

// metric adds a metric to the query that it is made from.
func (x *sqlExporter) metric(all []*sqlQuery, c, n *node, t sqlTarget) []*sqlQuery {
	text := n.str("query")
	if ref := n.str("query_ref"); ref != "" {
		for _, q := range c.list("queries") {
			if q.str("query_name") == ref {
				text = q.str("query")
			}
		}
	}
	i := slices.IndexFunc(all, func(q *sqlQuery) bool { return q.collector == c && q.text == text })
	if i < 0 {
		all = append(all, &sqlQuery{text: text, collector: c})
		i = len(all) - 1
	}
	q := all[i]
	name := n.str("metric_name")
	switch {
	case !goodName(name):
		x.out.lose(&q.notes, n.line, "metric_name", "it is missing or not the name of a metric")
		return all
	case secretText(text):
		x.out.lose(&q.notes, n.line, "query", "the query of %s can hold a secret and is not copied; the metric is left out", name)
		return all
	case strings.TrimSpace(text) == "":
		x.out.lose(&q.notes, n.line, "query", "%s has none; the metric is left out", name)
		return all
	}
	m := &metricOut{name: name, help: cmp.Or(strings.TrimSpace(n.str("help")), name), items: ".[]", labels: map[string]string{}, constant: maps.Clone(t.constant)}
	switch kind := n.str("type"); kind {
	case "", "gauge", "counter", "untyped":
	default:
		x.out.lose(&m.notes, n.get("type").line, "type", "sql_exporter has counters and gauges; a gauge is assumed")
	}
	m.setType(n.str("type"), n.get("type").at(n.line))
	x.columns(m, n)
	if m.value == "" {
		x.out.lose(&q.notes, n.line, "values", "%s has none; the metric is left out", name)
		return all
	}
	for _, p := range n.pairs() {
		switch p.key {
		case "metric_name", "type", "help", "key_labels", "static_labels", "values", "value_label", "static_value", "timestamp_value", "query", "query_ref":
		default:
			x.out.lose(&m.notes, p.line, p.key, "sql_exporter does not know the key")
		}
	}
	q.metrics = append(q.metrics, m)
	return all
}

// columns sets the value, the labels and the time of a metric.
func (x *sqlExporter) columns(m *metricOut, n *node) {
	for _, l := range n.pairs("static_labels") {
		if labelName(l.key) && l.value.str() != "" {
			m.constant[l.key] = x.out.publicLabel(&m.notes, l.line, l.key, l.value.str())
		}
	}
	keys := n.strs("key_labels")
	values := n.strs("values")
	label := n.str("value_label")
	row := ""
	if len(values) > 1 && label != "" {
		row = "$row"
	}
	for _, k := range keys {
		if !labelName(k) {
			x.out.lose(&m.notes, n.get("key_labels").line, "key_labels", "a column is not the name of a label")
			continue
		}
		m.labels[k] = orNull(row + field(k))
	}
	if n.has("timestamp_value") {
		m.time = row + field(n.str("timestamp_value"))
	}
	switch {
	case n.has("static_value"):
		m.value = n.str("static_value")
		if len(values) > 0 {
			x.out.lose(&m.notes, n.get("values").line, "values", "static_value is set too: the columns are left out")
		}
	case len(values) == 1 && label == "":
		m.value = field(values[0])
	case len(values) == 1:
		m.value, m.constant[label] = field(values[0]), values[0]
	case len(values) > 1:
		several(m, values, label)
	}
}

// several sets the items and the value of a metric so that each value column of a row is one reading.
func several(m *metricOut, values []string, label string) {
	var names []string
	for _, v := range values {
		names = append(names, quote(v))
	}
	b := ".[] | . as $row | " + strings.Join(names, ", ") + " | {v: $row[.], " + slot(0, label) + ": ."
	for i, k := range slices.Sorted(maps.Keys(m.labels)) {
		b += ", " + slot(i+1, k) + ": (" + m.labels[k] + ")"
		m.labels[k] = "." + slot(i+1, k)
	}
	if m.time != "" {
		b += `, "@time": (` + m.time + ")" // no label has this name
		m.time = field("@time")
	}
	m.items, m.value = b+"}", ".v"
	m.labels[label] = "." + slot(0, label)
}

// orNull returns a jq expression that gives "" in place of null, and otherwise the value.
func orNull(value string) string {
	return "if " + value + ` == null then "" else ` + value + " end"
}

// database returns the settings of a database connection.
func (x *sqlExporter) database(t sqlTarget, j *job) (*yaml.Node, bool) {
	if t.dsn == nil {
		x.out.lose(&j.notes, t.line, "data_source_name", "there is none")
		return object(), false
	}
	raw := t.dsn.str()
	scheme, rest, _ := strings.Cut(raw, ":")
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql", "pg", "pgsql":
		return x.server("postgres", raw, t, j), true
	case "mysql", "mariadb", "my", "maria":
		return x.server("mysql", raw, t, j), true
	case "sqlite", "sqlite3", "sq", "file":
		path := strings.TrimPrefix(rest, "//")
		path, _, _ = strings.Cut(path, "?")
		return object("driver", "sqlite", "dsn", path), true
	case "sqlserver", "mssql", "clickhouse", "oracle", "snowflake", "vertica", "databricks", "trino":
		x.out.lose(&j.notes, t.dsn.line, "data_source_name", "cton has no driver for %s: it has postgres, mysql and sqlite", strings.ToLower(scheme))
	default:
		x.out.lose(&j.notes, t.dsn.line, "data_source_name", "the kind of the database is not known: cton has postgres, mysql and sqlite")
	}
	return object(), false
}

// server returns the settings of a connection to a database server. The address is replaced by a reference, since it
// contains a password.
func (x *sqlExporter) server(driver, raw string, t sqlTarget, j *job) *yaml.Node {
	ref := reference("DSN", cmp.Or(t.name, j.name))
	name := strings.TrimPrefix(ref, "env:")
	form := map[string]string{"postgres": "postgres://USER:PASSWORD@HOST:5432/DATABASE", "mysql": "USER:PASSWORD@tcp(HOST:3306)/DATABASE"}[driver]
	if u, err := url.Parse(raw); err == nil && u.Host != "" && !secretText(u.Path) && !secretText(u.Host) {
		form = strings.NewReplacer("HOST:5432", u.Host, "HOST:3306", u.Host, "/DATABASE", u.Path).Replace(form)
		if u.RawQuery != "" && !secretName(u.RawQuery) && !secretText(u.RawQuery) {
			form += "?" + word(u.RawQuery)
		} else if u.RawQuery != "" {
			form += " with its parameters"
		}
	}
	say(&j.notes, t.dsn.line, "data_source_name", "the address is not copied, since it holds a password: set %s to %s", name, form)
	return object("driver", driver, "dsn", ref)
}
