package convert

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// sqlDriver returns cton's driver for the name that Telegraf has for it, or "" if there is none.
func sqlDriver(name string) string {
	switch name {
	case "pgx", "postgres", "postgresql", "cockroach":
		return "postgres"
	case "mysql", "maria", "mariadb", "tidb":
		return "mysql"
	case "sqlite":
		return "sqlite"
	}
	return ""
}

// sql adds a job for each query.
func (t *telegraf) sql(n *node, base job) {
	driver := sqlDriver(n.str("driver"))
	if driver == "" {
		t.out.lose(&t.out.problems, n.line, "inputs.sql", "cton has the drivers postgres, mysql and sqlite")
		return
	}
	for _, q := range n.list("query") {
		j := base
		j.kind, j.timeout = "sql", t.timeout(n, &j)
		if m := q.str("measurement"); m != "" && !n.has("name_override") {
			j.name = m
		}
		query, ok := t.query(q)
		if !ok {
			continue
		}
		dsn := n.str("dsn")
		if driver != "sqlite" {
			dsn = reference("DSN", j.name)
			say(&j.notes, n.get("dsn").at(n.line), "dsn", "the address is not copied, since it can hold a password: set %s", strings.TrimPrefix(dsn, "env:"))
		} else {
			dsn = strings.TrimPrefix(strings.TrimPrefix(dsn, "file:"), "//")
			dsn, _, _ = strings.Cut(dsn, "?")
		}
		j.settings = object("driver", driver, "dsn", dsn, "query", query)
		job := &j
		job.name, job.named = t.out.unused(job.name), true
		b := t.columns(q, job)
		t.block("sql", n, job, b, nil)
		t.out.add(job)
	}
}

// query returns the text of a query, which can be in a file. It returns false if the query is left out.
func (t *telegraf) query(q *node) (string, bool) {
	query := q.str("query")
	if file := q.str("query_script"); file != "" {
		line := q.get("query_script").line
		text, err := t.options.Files.text(file)
		if err != nil {
			t.out.lose(&t.out.problems, line, "query_script", "the file cannot be read; the query is left out")
			return "", false
		}
		query = string(text)
	}
	if secretText(query) {
		t.out.lose(&t.out.problems, q.line, "query", "it can hold a secret and is not copied; the query is left out")
		return "", false
	}
	return strings.TrimRight(strings.TrimSpace(query), "; \n"), true
}

// sqlColumn is a column of a result.
type sqlColumn struct {
	name  string
	value any // the first value that is not null; nil = not known
}

// rows returns the columns of the answer in the order of their names, or nil if there is no answer. It asks for the answer if the names
// of the columns are known only from the data.
func (t *telegraf) rows(q *node, j *job) []sqlColumn {
	answer := t.options.Answers[j.name]
	if included := globs(q.strs("field_columns_include")); answer == nil && t.options.Ask != nil && !included.exact() {
		text, err := question(j)
		if err == nil {
			answer, err = t.options.Ask(text, true)
		}
		if err != nil {
			t.out.lose(&j.notes, q.line, "--ask", "there is no answer: %v", err)
			return nil
		}
	}
	if answer == nil {
		return nil
	}
	doc, err := decodeJSON(answer)
	rows, isList := doc.([]any)
	if err != nil || !isList {
		t.out.lose(&j.notes, q.line, "--answer", "the answer is no JSON list of rows")
		return nil
	}
	first := map[string]any{}
	for _, row := range rows {
		r, _ := row.(map[string]any)
		for name, v := range r {
			if first[name] == nil {
				first[name] = v
			}
		}
	}
	var all []sqlColumn
	for _, name := range sortedKeys(first) {
		all = append(all, sqlColumn{name, first[name]})
	}
	return all
}

// typedColumns returns the settings that list the columns of one type.
func typedColumns() []string {
	return []string{"field_columns_int", "field_columns_uint", "field_columns_float", "field_columns_bool"}
}

// columns returns the block for a query.
func (t *telegraf) columns(q *node, j *job) *block {
	b := &block{measurement: cmp.Or(q.str("measurement"), "sql"), items: ".[]", many: true, line: q.line}
	columns := t.rows(q, j)
	known := columns != nil
	for _, key := range append(typedColumns(), "field_columns_include") {
		for _, c := range q.strs(key) {
			if (globs{c}).exact() && !slices.ContainsFunc(columns, func(x sqlColumn) bool { return x.name == c }) {
				columns = append(columns, sqlColumn{name: c})
			}
		}
	}
	tags := globs(q.strs("tag_columns_include"))
	noTags := globs(q.strs("tag_columns_exclude"))
	for _, c := range columns {
		tag := tags.match(c.name) && !noTags.match(c.name)
		if tag && !slices.Contains(tags, c.name) {
			b.putTag(columnTag(c.name))
		}
		t.column(b, q, j, c, tag)
	}
	for _, c := range tags {
		if (globs{c}).exact() && !noTags.match(c) {
			b.putTag(columnTag(c))
		}
	}
	if c := q.str("time_column"); c != "" {
		r := reading{t: t, n: q, job: j}
		r.timeOf(b, field(c), cmp.Or(q.str("time_format"), "unix"), "", q.line)
		if slices.ContainsFunc(columns, func(x sqlColumn) bool { _, text := x.value.(string); return x.name == c && text }) {
			b.time, b.timeFormat = field(c), ""
		}
	}
	if len(b.fields) == 0 || !known && !globs(q.strs("field_columns_include")).exact() {
		t.out.lose(&j.notes, q.line, "query", "the names of the columns are those of the data: add --answer %s=FILE with rows as a JSON list, --ask, or field_columns_include", word(j.name))
	}
	if q.has("measurement_column") {
		t.out.lose(&j.notes, q.get("measurement_column").line, "measurement_column", "the name is data, which has no counterpart")
	}
	return b
}

// columnTag returns the tag for a column. As in Telegraf, spaces around the value are removed, and a row whose value is empty does not have
// the tag.
func columnTag(name string) tagOut {
	return tagOut{name: name, value: present(field(name)) + ` | trim | select(. != "")`}
}

// column adds a column as a field. As in Telegraf, a column can be both a tag and a field.
func (t *telegraf) column(b *block, q *node, j *job, c sqlColumn, tag bool) {
	typed := slices.ContainsFunc(typedColumns(), func(key string) bool { return globs(q.strs(key)).match(c.name) })
	included, excluded := globs(q.strs("field_columns_include")), globs(q.strs("field_columns_exclude"))
	asText := globs(q.strs("field_columns_string")).match(c.name)
	if !typed && !asText && (len(included) > 0 && !included.match(c.name) || excluded.match(c.name)) {
		return
	}
	f := fieldOut{name: c.name, path: field(c.name), kind: fieldTyped}
	if globs(slices.Concat(q.strs("field_columns_int"), q.strs("field_columns_uint"))).match(c.name) {
		f.path = truncated(f.path)
	}
	text, isText := c.value.(string)
	switch {
	case typed:
	case asText:
		f.kind = fieldText
	case q.has("time_column") && c.name == q.str("time_column"):
		t.out.lose(&j.notes, q.get("time_column").line, "time_column", "Telegraf makes a metric of the time too, in nanoseconds; it is left out")
		return
	case tag && (isText || c.value == nil):
		return // a text cannot be a metric, and the label has been added already
	case isText:
		if _, err := time.Parse(time.RFC3339, text); err == nil {
			t.out.lose(&j.notes, q.line, c.name, "Telegraf makes a metric of the time, in nanoseconds; it is left out")
			return
		}
		f.kind = fieldText
	case c.value != nil:
		f.kind = fieldNative
	}
	b.fields = append(b.fields, f)
}
