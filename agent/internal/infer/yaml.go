package infer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/pattern"
)

var plainYAML = pattern.OnUse(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)

// dotNumber matches numbers of YAML that begin with a dot.
var dotNumber = pattern.OnUse(`(?i)^\.(inf|nan|[0-9])`)

// yamlText returns a text as a YAML scalar. The text is quoted if YAML could read it as something other than a string.
func yamlText(text string) string {
	if plainYAML().MatchString(text) && !has([]string{strings.ToLower(text)}, "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".", "..") && !strings.HasPrefix(text, "...") && !dotNumber().MatchString(text) {
		return text
	}
	if !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd
	}) {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// modeline is a comment at the top of a configuration. With it, editors with a YAML language server use a schema in the
// same folder for completion and checks.
const modeline = "# Completion in editors, after cton explain --schema > cton.schema.json:\n# yaml-language-server: $schema=cton.schema.json"

// YAML returns the configuration as text.
func (d *Draft) YAML() []byte {
	w := &writer{}
	from := "one answer"
	if d.answers > 1 {
		from = "two answers"
	}
	w.line(0, "# Proposed by cton init from %s. Delete what you do not want. Every setting: cton explain job", from)
	w.line(0, "%s", modeline)
	w.sinks()
	if d.request.Logins != "" {
		w.line(0, "")
		w.text.WriteString(strings.TrimRight(d.request.Logins, "\n") + "\n")
	}
	w.line(0, "")
	w.line(0, "jobs:")
	w.line(1, "%s:", yamlText(d.Job))
	w.line(2, `schedule: "@every %s"   # %s`, short(d.request.Limits.Every), d.request.Limits.Why)
	w.source(&d.request)
	w.line(2, "metrics:")
	if len(d.plan.metrics) == 0 {
		w.line(3, "# Nothing to measure was found. How often the job succeeds is measured in any case: this is 1 after each run.")
		w.line(3, "%s:", join(d.Job, "answered"))
		w.line(4, "type: gauge")
		w.line(4, "value: 1")
	}
	for _, m := range d.plan.metrics {
		w.metric(m)
	}
	w.left(d.plan.left)
	return []byte(w.text.String())
}

type writer struct{ text strings.Builder }

func (w *writer) line(depth int, format string, args ...any) {
	w.text.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&w.text, format, args...)
	w.text.WriteByte('\n')
}

func (w *writer) sinks() {
	w.line(0, "sinks:")
	w.line(1, `page: {expose: {listen: "localhost:8000"}}   # Prometheus scrapes http://localhost:8000/metrics`)
	w.line(1, "# mimir: {remote_write: {url: https://mimir.example.com/api/v1/push}}")
}

// short returns a duration as it is written in settings.
func short(d time.Duration) string {
	if d <= 0 {
		d = time.Minute
	}
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	if d%time.Minute == 0 && d > time.Minute {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// source writes the settings of the source of the document.
func (w *writer) source(r *Request) {
	if r.URL == nil {
		w.line(2, "file:")
		if r.Stdin {
			w.line(3, "# The answer came from standard input. Keep it in this file, or replace file by http: {url: https://…}.")
		}
		w.line(3, "path: %s", yamlText(r.File))
		w.format(r.Format)
		return
	}
	w.line(2, "http:")
	address := *r.URL
	if r.Pages != nil && r.Pages.Without != "" {
		query := address.Query()
		query.Del(r.Pages.Without)
		address.RawQuery = query.Encode()
	}
	w.line(3, "url: %s", yamlText(address.String()))
	if r.Method != "" && r.Method != "GET" {
		w.line(3, "method: %s", yamlText(r.Method))
	}
	w.pairs("query", r.Query)
	w.pairs("headers", r.Headers)
	if r.Body != "" {
		w.line(3, "body: %s", yamlText(r.Body))
	}
	if r.Auth != "" {
		w.line(3, "auth: %s", yamlText(r.Auth))
	}
	for line := range strings.Lines(r.Settings) {
		w.line(3, "%s", strings.TrimRight(line, "\n"))
	}
	w.format(r.Format)
	if r.Pages != nil {
		w.line(3, "paginate: %s   # seen in %s", r.Pages.Paginate, oneLine(r.Pages.Why))
	}
}

func (w *writer) format(f Format) {
	if f.Name != "" {
		w.line(3, "format: %s", f.Name)
	}
	if f.Settings != "" {
		w.line(3, "%s", f.Settings)
	}
}

func (w *writer) pairs(name string, pairs []Pair) {
	if len(pairs) == 0 {
		return
	}
	w.line(3, "%s:", name)
	for _, p := range pairs {
		w.line(4, "%s: %s", yamlText(p.Name), yamlText(p.Value))
	}
}

// metric writes a metric.
func (w *writer) metric(m *drafted) {
	if m.why != "" {
		w.line(3, "%s:   # %s", yamlText(m.name), oneLine(m.why))
	} else {
		w.line(3, "%s:", yamlText(m.name))
	}
	w.line(4, "type: %s", m.kind)
	if m.help != "" {
		w.line(4, "help: %s", yamlText(oneLine(m.help)))
	}
	if m.unit != "" {
		w.line(4, "unit: %s", yamlText(m.unit))
	}
	if m.items != "" {
		w.line(4, "items: %s", yamlText(m.items))
	}
	if m.onceBy != "" {
		w.line(4, "once_by: %s", yamlText(m.onceBy))
	}
	w.line(4, "value: %s", yamlText(m.value))
	if len(m.mapping) > 0 {
		var pairs []string
		for _, p := range m.mapping {
			pairs = append(pairs, yamlText(p[0])+": "+p[1])
		}
		w.line(4, "map: {%s}", strings.Join(pairs, ", "))
		w.line(4, "default: %s", m.otherwise)
	}
	if m.duplicate != "" {
		w.line(4, "on_duplicate: %s", m.duplicate)
	}
	if len(m.buckets) > 0 {
		w.line(4, "buckets: [%s]", strings.Join(m.buckets, ", "))
	}
	if len(m.labels) > 0 {
		var pairs []string
		for _, l := range m.labels {
			pairs = append(pairs, yamlText(l.name)+": "+yamlText(l.expr))
		}
		w.line(4, "labels: {%s}", strings.Join(pairs, ", "))
	}
}

// maxLeft is the maximum number of left-out fields that are listed.
const maxLeft = 40

func (w *writer) left(left []string) {
	if len(left) == 0 {
		return
	}
	left = slices.Compact(slices.Clone(left))
	w.line(3, "# Left out:")
	for i, line := range left {
		if i == maxLeft {
			w.line(3, "#   and %d more; cton try URL shows all", len(left)-i)
			break
		}
		w.line(3, "#   %s", clip(oneLine(line)))
	}
}
