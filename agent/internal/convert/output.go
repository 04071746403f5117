package convert

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// note is a sentence about a key in the old file.
type note struct {
	line int // 0 = the note is not about a line
	key  string
	text string
}

func (n note) String() string {
	text := n.text
	if n.key != "" {
		text = word(n.key) + ": " + text
	}
	if n.line > 0 {
		text = "line " + strconv.Itoa(n.line) + ", " + text
	}
	return text
}

// word returns a key of the old file for use in a comment. It has one line and a limited length.
func word(key string) string {
	const most = 80
	key = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return ' '
		}
		return r
	}, key)
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "…"
	}
	return key
}

// output is a configuration of cton that is being built.
type output struct {
	head     []string // comments at the top of the file
	external map[string]string
	sinks    []sink
	jobs     []*job
	lost     int             // number of notes about settings that were not converted
	reserved map[string]bool // job names in use
	problems []note
}

type sink struct {
	name, kind string
	settings   *yaml.Node
	notes      []note
}

// job is a job that is being built.
type job struct {
	name     string
	schedule string
	timeout  string
	kind     string // http, exec, file, sql or scrape
	settings *yaml.Node
	metrics  []*metricOut
	notes    []note
	sinks    []string
	named    bool // the name is already reserved
	jitter   string
	passedOn bool // the source's text is metrics, which are passed on as they are
	targets  bool // the source has several targets; each series has the labels of its target
}

// metricOut is a metric that is being built.
type metricOut struct {
	name, kind, help string
	items, value     string
	labels, constant map[string]string
	time, timeFormat string
	timeZone         string
	duplicate        string // value of the setting on_duplicate
	mapped           map[string]float64
	fallback         string // value of the setting "default", used together with the field mapped
	computed         string // jq expression with the effect of the fields mapped and fallback; "" = there is none
	names            int    // number of label names, including those with empty values
	nameFrom         string // jq expression of the name, if the data has it
	labelsFrom       string // jq expression of an object with further labels
	notes            []note
}

// clone returns a copy. Changing the copy does not change m.
func (m *metricOut) clone() *metricOut {
	c := *m
	c.labels, c.constant, c.notes = maps.Clone(m.labels), maps.Clone(m.constant), slices.Clone(m.notes)
	return &c
}

// The following functions make the YAML nodes of settings.

func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off": // other YAML parsers read them as booleans
		n.Style = yaml.SingleQuotedStyle
	}
	return n
}

func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func number(f float64) *yaml.Node { return plain(strconv.FormatFloat(f, 'g', -1, 64)) }

func texts(all []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range all {
		n.Content = append(n.Content, text(s))
	}
	return n
}

// statusCodes returns the status codes in a setting of the old tool, for valid_status_codes. The list is empty if the
// setting is not set.
func (o *output) statusCodes(to *[]note, n *node, key string) *yaml.Node {
	codes := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, code := range n.strs(key) {
		if number, err := strconv.Atoi(code); err != nil || number < 200 || number > 599 {
			o.lose(to, n.get(key).line, key, "%s is no status of a response", code)
			continue
		}
		codes.Content = append(codes.Content, plain(code))
	}
	return codes // put leaves out an empty list
}

// object returns a mapping. The argument pairs has keys and values alternately. A value is a *yaml.Node, a string or a bool. Empty values
// are left out.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		put(n, pairs[i].(string), pairs[i+1])
	}
	return n
}

// put adds a key and a value to a mapping. It does nothing if the value is empty.
func put(n *yaml.Node, key string, value any) {
	var v *yaml.Node
	switch x := value.(type) {
	case string:
		if x == "" {
			return
		}
		v = text(x)
	case bool:
		if !x {
			return
		}
		v = plain("true")
	case *yaml.Node:
		if x == nil || x.Kind != yaml.ScalarNode && len(x.Content) == 0 {
			return
		}
		v = x
	}
	n.Content = append(n.Content, text(key), v)
}

// flow returns a mapping that is written in one line, sorted by key.
func flow(m map[string]string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n.Content = append(n.Content, text(k), text(m[k]))
	}
	return n
}

// letters returns a text for a setting: from this text, cton reads exactly the letters of the argument. Without this, cton would take
// some letters for a reference or a template.
func letters(value string) string {
	if setting.IsReference(value) || setting.FindLookalike(value) != nil || strings.Contains(value, "{{") {
		return "{{ " + strconv.Quote(value) + " }}"
	}
	return value
}

// constants returns a mapping of constant labels.
func constants(m map[string]string) *yaml.Node {
	written := map[string]string{}
	for name, value := range m {
		written[name] = letters(value)
	}
	return flow(written)
}

// YAML returns the configuration as text.
func (o *output) YAML() ([]byte, error) {
	root := object()
	put(root, "external_labels", constants(o.external))
	sinks := object()
	for _, s := range o.sinks {
		put(sinks, s.name, object(s.kind, orEmpty(s.settings)))
		remark(sinks, s.notes)
	}
	put(root, "sinks", sinks)
	jobs := object()
	for _, j := range o.jobs {
		put(jobs, j.name, j.yaml())
		remark(jobs, j.notes)
	}
	put(root, "jobs", jobs)
	head := slices.Clone(o.head)
	for _, p := range o.problems {
		head = append(head, p.String())
	}
	root.HeadComment = comment(head)
	return yaml.Dump(root, yaml.WithQuotePreference(yaml.QuoteSingle), yaml.WithLineWidth(-1))
}

func orEmpty(n *yaml.Node) *yaml.Node {
	if n == nil {
		return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: nil}
	}
	return n
}

// remark adds notes as comments above the last member of a mapping.
func remark(n *yaml.Node, notes []note) {
	if len(n.Content) == 0 || len(notes) == 0 {
		return
	}
	var lines []string
	for _, x := range notes {
		if s := x.String(); !slices.Contains(lines, s) {
			lines = append(lines, s)
		}
	}
	n.Content[len(n.Content)-2].HeadComment = comment(lines)
}

func comment(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("# ")
		b.WriteString(l)
	}
	return b.String()
}

func (j *job) yaml() *yaml.Node {
	n := object("schedule", j.schedule, "jitter", j.jitter, "timeout", j.timeout)
	put(n, "sinks", texts(j.sinks))
	n.Content = append(n.Content, text(j.kind), orEmpty(j.settings))
	metrics := object()
	for _, m := range j.metrics {
		put(metrics, m.name, m.yaml())
		remark(metrics, m.notes)
	}
	put(n, "metrics", metrics)
	if j.passedOn {
		n.Content = append(n.Content, text("exposition"), orEmpty(nil))
	}
	return n
}

func (m *metricOut) yaml() *yaml.Node {
	n := object("type", m.kind, "help", m.help, "items", m.items, "name_from", m.nameFrom, "labels_from", m.labelsFrom, "value", expression(m.value), "labels", flow(m.labels), "const_labels", constants(m.constant),
		"time", m.time, "time_format", m.timeFormat, "time_zone", m.timeZone, "on_duplicate", m.duplicate)
	if m.nameFrom != "" {
		put(n, "max_names", plain("1000"))
	}
	if len(m.mapped) > 0 {
		put(n, "map", func() *yaml.Node {
			all := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			for _, k := range slices.Sorted(maps.Keys(m.mapped)) {
				all.Content = append(all.Content, text(k), number(m.mapped[k]))
			}
			return all
		}())
		put(n, "default", plain(m.fallback))
	}
	return n
}

// expression returns a node for a value. A number is written without quotes.
func expression(value string) *yaml.Node {
	if value == "" {
		return nil
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return plain(value)
	}
	return text(value)
}

// lose adds a note about something that was not converted. The argument "to" is the list that gets the note: the list of a job, of a
// metric or of the file.
func (o *output) lose(to *[]note, line int, key, format string, args ...any) {
	o.lost++
	*to = append(*to, note{line, key, fmt.Sprintf(format, args...)})
}

// loseOnce is like lose, but does nothing if the list has the note already.
func (o *output) loseOnce(to *[]note, line int, key, format string, args ...any) {
	o.loseAll(to, []note{{line, key, fmt.Sprintf(format, args...)}})
}

// loseAll adds notes about what was not converted, except those that the list already has.
func (o *output) loseAll(to *[]note, notes []note) {
	for _, n := range notes {
		if !slices.Contains(*to, n) {
			o.lost++
			*to = append(*to, n)
		}
	}
}

// allNotes returns the lists of notes.
func (o *output) allNotes() [][]note {
	all := [][]note{o.problems}
	for _, s := range o.sinks {
		all = append(all, s.notes)
	}
	for _, j := range o.jobs {
		all = append(all, j.notes)
		for _, m := range j.metrics {
			all = append(all, m.notes)
		}
	}
	return all
}

// say adds a note that the user should read. It is not about something that was lost.
func say(to *[]note, line int, key, format string, args ...any) {
	*to = append(*to, note{line, key, fmt.Sprintf(format, args...)})
}
