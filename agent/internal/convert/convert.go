// Package convert translates the configuration of another tool into a configuration of cton. The series keep their names and
// labels.
//
//	files of the other tool ─▶ node: keys and values with their lines ─▶ output: sinks, jobs, metrics and comments ─▶ YAML
//
// The tools are json_exporter, Telegraf, Prometheus, sql_exporter and script_exporter. A file is recognised by its content.
// For settings that cton does not have, the result has a comment with the key and the line. Secrets are not copied: a
// reference replaces a secret, and a comment says which variable to set.
package convert

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
)

// File is a configuration file of another tool.
type File struct {
	Name string
	Text []byte
}

// Options are what a conversion needs in addition to the files.
type Options struct {
	Answers     map[string][]byte // answers of the APIs, by job name
	Ask         Ask               // asks for answers that are not in Answers; nil = nothing is asked
	RemoteWrite string            // URL of a remote_write sink to add; "" = none
	Catalogue   config.Catalogue  // used to check the result
	Files       Files
}

// Ask runs the only job of a configuration once and returns the text of its answer. If the argument "rows" is true, the answer is the
// rows of a query, as a JSON list.
type Ask func(configuration []byte, rows bool) (answer []byte, err error)

// Result is a converted configuration.
type Result struct {
	YAML []byte
	Tool string // name of the other tool
	Jobs int
	Lost int // number of notes about settings that were not converted
}

// Files reads the files that a configuration refers to.
type Files struct{ Dir string }

const (
	maxFiles    = 1000
	maxFileSize = 4 << 20
)

// Glob returns the sorted names of the files that match a pattern.
func (f Files) Glob(pattern string) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(f.Dir, pattern)
	}
	names, err := filepath.Glob(pattern)
	if len(names) > maxFiles {
		return nil, fmt.Errorf("more than %d files", maxFiles)
	}
	return names, err
}

// tree returns the content of a YAML or JSON file.
func (f Files) tree(name string) (*node, error) {
	text, err := f.text(name)
	if err != nil {
		return nil, err
	}
	return parseYAML(name, text)
}

// text returns the content of a file.
func (f Files) text(name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(f.Dir, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileSize {
		return nil, errors.New("not a regular file of at most 4 MiB, as a configuration is")
	}
	return os.ReadFile(name)
}

func parseYAML(name string, text []byte) (*node, error) {
	f, err := config.Parse(name, text)
	if err != nil {
		return nil, err
	}
	return readYAML(f.Root)
}

// errUnknown is the error for files that belong to none of the supported tools.
var errUnknown = errors.New("want a configuration of json_exporter, Telegraf, Prometheus, sql_exporter, script_exporter or the Python Collectington")

// input is a file that was read.
type input struct {
	name string
	root *node
	tool string
}

// Convert converts the files of one tool. The files of json_exporter can be converted together with the configuration of the Prometheus
// that scrapes json_exporter, and those of sql_exporter together with its collector files.
func Convert(files []File, o Options) (Result, error) {
	inputs := make([]input, 0, len(files))
	for _, f := range files {
		in, err := read(f)
		if err != nil {
			return Result{}, err
		}
		inputs = append(inputs, in)
	}
	out := &output{}
	c := conversion{out: out, options: o, inputs: inputs}
	tool, err := c.run()
	if err != nil {
		return Result{}, err
	}
	c.unread(tool)
	if o.RemoteWrite != "" {
		out.flagSink(o.RemoteWrite)
	}
	out.defaultSink()
	out.pages()
	out.repair(o.Catalogue)
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, word(filepath.Base(f.Name)))
	}
	out.head = append([]string{"Converted from " + strings.Join(names, " and ") + " (" + tool + "). Check it with cton check, and try one job with cton try JOB."}, out.head...)
	text, err := out.YAML()
	return Result{YAML: text, Tool: tool, Jobs: len(out.jobs), Lost: out.lost}, err
}

// read parses a file and recognises the tool that it belongs to.
func read(f File) (input, error) {
	if root, err := parseTOML(f.Text); err == nil && isTelegraf(root) {
		return input{f.Name, root, "Telegraf"}, nil
	} else if err != nil && regexp.MustCompile(`(?m)^\s*\[\[inputs\.\w+`).Match(f.Text) {
		return input{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	root, err := parseYAML(f.Name, f.Text)
	if problems, ok := errors.AsType[config.Problems](err); ok && len(problems) > 0 {
		return input{}, errors.New(problems[0].Brief()) // the error does not show the line of the file, which can contain a secret
	}
	if err != nil {
		return input{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	if root, err = unwrapped(root); err != nil {
		return input{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	for _, t := range []struct {
		name string
		is   func(*node) bool
	}{{"Prometheus", isPrometheus}, {"sql_exporter", isSQLExporter}, {"json_exporter", isJSONExporter}, {"script_exporter", isScriptExporter}} {
		if t.is(root) {
			return input{f.Name, root, t.name}, nil
		}
	}
	return input{}, fmt.Errorf("%s: %w", f.Name, errUnknown)
}

type conversion struct {
	out     *output
	options Options
	inputs  []input
	further []*node // files that the inputs name
}

// of returns the files of a tool.
func (c *conversion) of(tool string) []*node {
	var all []*node
	for _, in := range c.inputs {
		if in.tool == tool {
			all = append(all, in.root)
		}
	}
	return all
}

// run converts the files of one tool. Files of Prometheus may be given too, if that Prometheus scrapes the tool.
func (c *conversion) run() (string, error) {
	var tools []string
	for _, in := range c.inputs {
		if !slices.Contains(tools, in.tool) {
			tools = append(tools, in.tool)
		}
	}
	var prom *prometheus
	if all := c.of("Prometheus"); len(all) == 1 {
		prom = &prometheus{c.out, c.options.Files, all[0]}
	} else if len(all) > 1 {
		return "", errors.New("convert the files of one Prometheus at a time")
	}
	tools = slices.DeleteFunc(tools, func(t string) bool { return t == "Prometheus" })
	switch {
	case len(tools) == 0 && prom != nil:
		prom.convert()
		return "Prometheus", nil
	case len(tools) != 1:
		return "", fmt.Errorf("convert the files of one tool at a time; these are of %s", strings.Join(tools, " and "))
	}
	switch tools[0] {
	case "json_exporter":
		c.jsonExporter(prom)
	case "sql_exporter":
		x := sqlExporter{out: c.out, files: c.options.Files, prom: prom}
		x.convert(c.of("sql_exporter"))
		c.further = x.named
	case "script_exporter":
		x := scriptExporter{out: c.out, prom: prom}
		x.convert(c.of("script_exporter"))
	case "Telegraf":
		t := telegraf{out: c.out, options: c.options}
		t.convert(c.of("Telegraf"))
	}
	return tools[0], nil
}

// unread adds notes about the settings that were not read. If a Prometheus scrapes sql_exporter or script_exporter, only the interval of a
// scrape is used from the file of Prometheus.
func (c *conversion) unread(tool string) {
	for _, in := range c.inputs {
		if in.tool == tool || tool == "json_exporter" {
			c.out.unread(in.tool, in.root)
			continue
		}
		c.out.lose(&c.out.problems, in.root.get("scrape_configs").at(in.root.line), "scrape_configs", "only the interval of the first scrape is used; convert the file of Prometheus alone for the rest")
	}
	for _, root := range c.further {
		c.out.unread(tool, root)
	}
}

func (c *conversion) jsonExporter(prom *prometheus) {
	x := jsonExporter{out: c.out}
	for _, root := range c.of("json_exporter") {
		if prom == nil {
			x.convert(root, nil, false)
			continue
		}
		modules := map[string]bool{}
		for _, m := range modulesOf(root) {
			modules[m.name] = true
		}
		x.convert(root, prom.probes(modules), true)
	}
	if prom != nil {
		prom.sinks(true)
		if len(c.out.sinks) == 0 {
			c.out.head = append(c.out.head, "The series have the labels job and instance of the old scrape: scrape the page with honor_labels: true.")
		}
	}
}

// flagSink adds a remote_write sink for the URL given on the command line.
func (o *output) flagSink(raw string) {
	a, ok := split(raw, "remote", 0)
	if !ok || len(a.query.Content) > 0 {
		o.lose(&o.problems, 0, "--remote-write", "the address can hold a secret or is no URL; there is no sink for it")
		return
	}
	set := object("url", a.url)
	if a.user != "" || a.password != "" {
		put(set, "basic_auth", object("username", a.user, "password", a.password))
	}
	o.sinks = append(o.sinks, sink{name: "remote", kind: "remote_write", settings: set, notes: a.notes})
}

// pages assigns jobs to pages. Jobs whose metrics cannot be on the same page get separate pages, as with the old tool.
func (o *output) pages() {
	if len(o.sinks) == 0 || o.sinks[0].kind != "expose" || len(o.sinks) > 1 {
		o.agree(o.jobs)
		return
	}
	var pages [][]*job
	var shown []map[string][]placed // for each page: its metrics by name
	for _, j := range o.jobs {
		i := slices.IndexFunc(shown, func(page map[string][]placed) bool { return fits(page, j) })
		if i < 0 {
			i = len(pages)
			pages, shown = append(pages, nil), append(shown, map[string][]placed{})
		}
		pages[i] = append(pages[i], j)
		for _, m := range j.metrics {
			shown[i][m.name] = append(shown[i][m.name], placed{m, j})
		}
	}
	first := o.sinks[0]
	for i, page := range pages {
		o.agree(page)
		if len(pages) == 1 {
			return
		}
		name := first.name
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
			set := object("listen", ":"+strconv.Itoa(8000+i))
			o.sinks = append(o.sinks, sink{name: name, kind: "expose", settings: set, notes: []note{{0, "", "these jobs have metrics of the same names as others: they need a page of their own"}}})
		}
		for _, j := range page {
			j.sinks = []string{name}
		}
	}
}

// placed is a metric on a page, and its job.
type placed struct {
	*metricOut
	of *job
}

// fits reports whether the metrics of a job can be on a page together with the metrics that are already on it. The series of a job with
// targets cannot collide with others, since they have the label job.
func fits(page map[string][]placed, j *job) bool {
	for _, m := range j.metrics {
		for _, o := range page[m.name] {
			if m.kind != o.kind || !j.targets && !o.of.targets && !apart(m, o.metricOut) && !apart(o.metricOut, m) {
				return false
			}
		}
	}
	return true
}

// apart reports whether a constant label of the metric a ensures that the metrics a and b have no series in common.
func apart(a, b *metricOut) bool {
	for name, value := range a.constant {
		theirs, constant := b.constant[name]
		_, label := b.labels[name]
		if constant && theirs != value || !constant && !label {
			return true
		}
	}
	return false
}

// agree makes metrics with the same name have the same help and type.
func (o *output) agree(jobs []*job) {
	help, kinds := map[string]string{}, map[string]string{}
	for _, j := range jobs {
		for _, m := range j.metrics {
			if h, ok := help[m.name]; ok {
				m.help, m.kind = h, kinds[m.name]
			}
			help[m.name], kinds[m.name] = m.help, m.kind
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// goodName reports whether name is a valid metric name in every version of Prometheus.
func goodName(name string) bool {
	return len(name) <= 200 && regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`).MatchString(name)
}

// labelName reports whether name is a valid label name.
func labelName(name string) bool {
	return len(name) <= 200 && regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(name) && !strings.HasPrefix(name, "__")
}
