package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// reading converts the data format of an input into blocks.
type reading struct {
	t      *telegraf
	n      *node
	job    *job
	answer []byte
}

// lose adds a note about something that was not converted.
func (r *reading) lose(line int, key, format string, args ...any) {
	r.t.out.lose(&r.job.notes, line, key, format, args...)
}

// blocks returns the measurements of the input, and adds the settings of the data format to the job.
func (r *reading) blocks() []*block {
	switch format := cmp.Or(r.n.str("data_format"), "influx"); format {
	case "json":
		return r.json()
	case "json_v2":
		var all []*block
		for _, n := range r.n.list("json_v2") {
			all = append(all, r.jsonV2(n)...)
		}
		return all
	case "xpath_json":
		var all []*block
		for _, n := range append(r.n.list("xpath"), r.n.list("xpath_json")...) {
			all = append(all, r.xpath(n)...)
		}
		return all
	case "csv":
		return r.csv()
	case "value":
		return r.value()
	case "grok":
		return r.grok()
	default:
		r.lose(r.n.get("data_format").at(r.n.line), "data_format", "the format has no counterpart")
		return nil
	}
}

// set adds settings of the format to the source.
func (r *reading) set(format string, more ...any) {
	put(r.job.settings, "format", format)
	for i := 0; i+1 < len(more); i += 2 {
		put(r.job.settings, more[i].(string), more[i+1])
	}
}

// decodeJSON decodes a JSON text.
func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	var v any
	err := d.Decode(&v)
	return v, err
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// timeOf sets the time of a block from a time in one of Telegraf's formats.
func (r *reading) timeOf(b *block, path, format, zone string, line int) {
	b.timeZone = ""
	switch strings.ToLower(format) {
	case "unix":
		b.time = path + " | tonumber"
	case "unix_ms":
		b.time, b.timeFormat = path, "unix_ms"
	case "unix_us":
		b.time = path + " | tonumber / 1e6"
	case "unix_ns":
		b.time = path + " | tonumber / 1e9"
	case "", "rfc3339", "rfc3339nano":
		b.time = path
	default:
		b.time, b.timeFormat = path, format
		if !regexp.MustCompile(`Z07|-07`).MatchString(format) {
			b.timeZone = zone
		}
		if strings.HasPrefix(format, "2006-01-02T15:04:05Z07:00") {
			b.timeFormat = ""
		}
	}
	if r.t.times {
		say(&r.job.notes, line, "timestamp", "cton leaves a reading without its time out, where Telegraf takes the time of the run")
	}
}

// value converts the data format named "value": the whole input is one value.
func (r *reading) value() []*block {
	b := &block{items: ".[]"}
	name := cmp.Or(r.n.str("value_field_name"), "value")
	f := fieldOut{name: name, path: ".value", kind: fieldTyped}
	switch kind := r.n.str("data_type"); kind {
	case "string":
		f.kind = fieldText
	case "boolean", "bool":
		f.kind = fieldBool
	}
	b.fields = append(b.fields, f)
	// Telegraf's parser uses the last word of the text.
	r.set("text", "text", object("pattern", `(?P<value>\S+)\s*\z`))
	return []*block{b}
}

// grok converts the data format grok.
func (r *reading) grok() []*block {
	patterns := append(r.n.strs("grok_patterns"), r.n.strs("patterns")...)
	line := r.n.get("grok_patterns").at(r.n.line)
	if len(patterns) != 1 {
		r.lose(line, "grok_patterns", "one pattern can be converted, not several")
		if len(patterns) == 0 {
			return nil
		}
	}
	b := &block{items: ".[]", many: true, line: line}
	known := map[string]string{
		"NUMBER": `[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)`, "INT": `[+-]?[0-9]+`, "WORD": `\b\w+\b`, "DATA": `.*?`, "GREEDYDATA": `.*`, "NOTSPACE": `\S+`, "SPACE": `\s*`,
		"BASE10NUM": `[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)`, "POSINT": `[1-9][0-9]*`, "NONNEGINT": `[0-9]+`, "USERNAME": `[a-zA-Z0-9._-]+`,
		"IP": `[0-9a-fA-F:.]+`, "HOSTNAME": `[0-9A-Za-z.-]+`, "QUOTEDSTRING": `"(?:[^"\\]|\\.)*"`, "UUID": `[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}`,
	}
	failed := false
	n := 0
	re := regexp.MustCompile(`%\{([A-Z0-9_]+)(?::([^:}]*))?(?::([^}]*))?\}`).ReplaceAllStringFunc(patterns[0], func(s string) string {
		m := regexp.MustCompile(`%\{([A-Z0-9_]+)(?::([^:}]*))?(?::([^}]*))?\}`).FindStringSubmatch(s)
		inner, ok := known[m[1]]
		if !ok {
			failed = true
			return s
		}
		if m[2] == "" || m[3] == "drop" {
			return "(?:" + inner + ")"
		}
		n++
		group := fmt.Sprintf("g%d", n)
		switch kind := m[3]; {
		case kind == "tag":
			b.tags = append(b.tags, tagOut{name: m[2], value: "." + group + ` | select(. != null and . != "")`}) // Telegraf drops an empty one
		case kind == "int" || kind == "float":
			b.fields = append(b.fields, fieldOut{name: m[2], path: "." + group, kind: fieldTyped})
		case strings.HasPrefix(kind, "ts"):
			r.lose(line, "grok_patterns", "the timestamp of a line has no counterpart")
		case kind == "" || kind == "string":
			b.fields = append(b.fields, fieldOut{name: m[2], path: "." + group, kind: fieldText})
		default:
			r.lose(line, "grok_patterns", "the type of a part has no counterpart")
		}
		return "(?P<" + group + ">" + inner + ")"
	})
	if _, err := regexp.Compile(re); err != nil || failed {
		r.lose(line, "grok_patterns", "a part of the pattern has no counterpart")
		return nil
	}
	r.set("text", "text", object("pattern", "(?m)^.*?"+re))
	return []*block{b}
}

// column is a column of a table.
type column struct {
	name, kind string
	skipped    bool // csv_skip_columns leaves it out
}

// csv converts the data format csv.
func (r *reading) csv() []*block {
	columns, header, skip, ok := r.columns()
	line := r.n.get("data_format").line
	b := &block{items: ".[]", many: true, line: line}
	if !ok {
		r.set("csv")
		b.needs = "the names of the columns are those of the data"
		return []*block{b}
	}
	access := r.table(b, columns, header, skip)
	tags := globs(r.n.strs("csv_tag_columns"))
	skipped := r.n.strs("csv_skip_values")
	for i, c := range columns {
		path := access[i]
		if len(skipped) > 0 {
			var parts []string
			for _, s := range skipped {
				parts = append(parts, ". != "+quote(s))
			}
			path = "(" + path + " | select(" + strings.Join(parts, " and ") + "))"
		}
		switch {
		case c.skipped:
		case tags.match(c.name):
			b.tags = append(b.tags, tagOut{name: c.name, value: path})
		case r.n.has("csv_timestamp_column") && c.name == r.n.str("csv_timestamp_column"):
			r.timeOf(b, path, r.n.str("csv_timestamp_format"), r.n.str("csv_timezone"), line)
		case r.n.has("csv_measurement_column") && c.name == r.n.str("csv_measurement_column"):
			if !r.n.has("name_override") {
				r.lose(r.n.get("csv_measurement_column").line, "csv_measurement_column", "the name is data, which has no counterpart")
			}
		default:
			kind := map[string]fieldKind{"string": fieldText, "bool": fieldBool, "": fieldBool}[c.kind]
			if c.kind == "int" || c.kind == "long" || c.kind == "float" || c.kind == "double" {
				kind = fieldTyped
			}
			if kind == fieldTyped || kind == fieldBool {
				path = "(" + path + ` | select(. != ""))`
			}
			b.fields = append(b.fields, fieldOut{name: c.name, path: path, kind: kind})
		}
	}
	return []*block{b}
}

// columns returns the columns of a table, the number of header rows, and the number of rows to skip. The result ok is false if the names
// of the columns are not known.
func (r *reading) columns() (all []column, header, skip int, ok bool) {
	skipped := 0
	_, _ = fmt.Sscan(r.n.str("csv_header_row_count"), &header)
	_, _ = fmt.Sscan(r.n.str("csv_skip_rows"), &skip)
	_, _ = fmt.Sscan(r.n.str("csv_skip_columns"), &skipped)
	header, skip, skipped = min(max(header, 0), 100), min(max(skip, 0), 100_000), min(max(skipped, 0), 100)
	names, types := r.n.strs("csv_column_names"), r.n.strs("csv_column_types")
	rows := bytes.Split(r.answer, []byte("\n"))
	delimiter := cmp.Or(r.n.str("csv_delimiter"), ",")
	cells := func(i int) []string {
		if i >= len(rows) || len(r.answer) == 0 {
			return nil
		}
		var all []string
		for c := range strings.SplitSeq(strings.TrimSuffix(string(rows[i]), "\r"), delimiter) {
			all = append(all, strings.Trim(strings.TrimSpace(c), `"`))
		}
		return all
	}
	switch {
	case len(names) > 0: // these are the names of the columns that are not skipped
		for i := range skipped {
			all = append(all, column{name: "skipped" + itoa(i+1), skipped: true})
		}
	case header > 0:
		if names = cells(skip); len(names) == 0 {
			names, skipped = r.guessed(), 0
		}
		for i := range min(skipped, len(names)) {
			all = append(all, column{name: names[i], skipped: true})
		}
		names = names[len(all):]
	}
	data := cells(skip + header)
	data = data[min(len(all), len(data)):]
	for i, n := range names {
		c := column{name: n}
		if i < len(types) {
			c.kind = types[i]
		} else if i < len(data) && len(types) == 0 && data[i] != "" && !looksNumber(data[i]) {
			c.kind = "string"
		}
		all = append(all, c)
	}
	return all, header, skip, len(names) > 0
}

// guessed returns the names of columns that the configuration mentions. It is used if the names are in the header of the
// table, and there is no answer from which to read them.
func (r *reading) guessed() []string {
	f := filter{r.n}
	included := f.included()
	if !included.exact() {
		return nil
	}
	names := slices.Clone(r.n.strs("csv_tag_columns"))
	for _, c := range included {
		if !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	return names
}

func looksNumber(s string) bool {
	var f float64
	_, err := fmt.Sscan(s, &f)
	return err == nil || strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

// table sets the format, and returns a jq expression for each column within an item.
func (r *reading) table(b *block, columns []column, header, skip int) []string {
	names := make([]string, 0, len(columns))
	access := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, c.name)
		access = append(access, field(c.name))
	}
	delimiter, comment := cmp.Or(r.n.str("csv_delimiter"), ","), r.n.str("csv_comment")
	if skip == 0 && header <= 1 && !r.n.is("csv_trim_space") && len(delimiter) == 1 && len(comment) <= 1 {
		set := object()
		if header == 0 {
			put(set, "header", plain("false"))
		}
		if header == 0 || r.n.has("csv_column_names") {
			put(set, "columns", texts(names))
		}
		if delimiter != "," {
			put(set, "delimiter", delimiter)
		}
		put(set, "comment", comment)
		r.set("csv", "csv", set)
		return access
	}
	// Each row is matched by a pattern, since rows to skip can have a different number of cells.
	d := regexp.QuoteMeta(delimiter)
	blank := ""
	if r.n.is("csv_trim_space") {
		blank = `[ \t]*`
	}
	var cells []string
	for i := range columns {
		cells = append(cells, fmt.Sprintf(`%s(?:"(?P<q%d>(?:[^"]|"")*)"|(?P<c%d>[^"\r\n%s][^\r\n%s]*?)?)%s`, blank, i, i, classOf(delimiter), classOf(delimiter), blank))
		access[i] = fmt.Sprintf(`(.c%d // (.q%d // "" | gsub("\"\""; "\"")))`, i, i)
	}
	r.set("text", "text", object("pattern", "(?m)^(?:"+strings.Join(cells, d)+`|[^\r\n]*)\r?$`))
	b.items = fmt.Sprintf(".[%d:][] | select(.c0 != null or .q0 != null)", skip+header)
	if comment != "" {
		b.items += " | select((.c0 // \"\") | startswith(" + quote(comment) + ") | not)"
	}
	return access
}

// classOf escapes a delimiter for use in a character class.
func classOf(delimiter string) string {
	return regexp.MustCompile(`[\\\]\^-]`).ReplaceAllString(delimiter, `\$0`)
}
