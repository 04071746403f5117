package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// ReadFile reads the text of a configuration file; "-" is standard input.
func ReadFile(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %s", path, setting.Bytes(maxFile))
	}
	return text, err
}

// Load reads and checks a configuration. The error, if any, is Problems.
func Load(file string, text []byte, catalogue Catalogue) (*Plan, error) {
	r := &reader{file: file, lines: splitLines(string(text)), catalogue: catalogue, meant: map[string]bool{}}
	plan := r.plan(text)
	if len(r.problems) > 0 {
		r.problems.sort()
		r.problems = slices.CompactFunc(r.problems, func(a, b Problem) bool { return a == b })
		return nil, r.problems
	}
	return plan, nil
}

// reader reads one file.
type reader struct {
	file      string
	lines     []string
	catalogue Catalogue
	problems  Problems
	sinkNames []string        // all that the file has, those with problems included
	meant     map[string]bool // settings that a mistyped name was taken to mean, by path
}

func (r *reader) problem(line, col int, path, text string) Problem {
	p := Problem{File: r.file, Line: line, Col: col, Path: oneLine(path), Text: oneLine(text)}
	if line > 0 && line <= len(r.lines) {
		p.Source = r.lines[line-1]
	}
	return p
}

func oneLine(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }

func (r *reader) bad(n *yaml.Node, path, format string, args ...any) {
	line, col := 0, 0
	if n != nil {
		line, col = n.Line, n.Column
	}
	r.problems = append(r.problems, r.problem(line, col, path, fmt.Sprintf(format, args...)))
}

// validate runs a kind's own check. The node is what the settings were read from.
func (r *reader) validate(n *yaml.Node, key *yaml.Node, path string, v interface{ Validate() error }) {
	for _, p := range setting.Problems(v.Validate()) {
		at := key
		if p.Path != "" {
			if found := find(n, p.Path); found != n {
				at = found
			}
		}
		r.bad(at, join(path, p.Path), "%s", p.Text)
	}
}

// top are the settings of a file that stand at its top.
type top struct {
	External    map[string]string `yaml:"external_labels"`
	Concurrency int               `yaml:"concurrency"`
	Sinks       yaml.Node         `yaml:"sinks"`
	Jobs        yaml.Node         `yaml:"jobs"`
}

// defaultConcurrency is how many ticks may be under way at once.
const defaultConcurrency = 64

func (r *reader) plan(text []byte) *Plan {
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		r.syntax(err)
		return nil
	}
	t := top{Concurrency: defaultConcurrency}
	r.load(&doc, "", &t)
	if len(r.problems) > 0 && t.Jobs.IsZero() && t.Sinks.IsZero() {
		return nil
	}
	plan := &Plan{External: t.External, Concurrency: t.Concurrency}
	if t.Concurrency < 1 {
		r.bad(find(doc.Content[0], "concurrency"), "concurrency", "want at least 1")
	}
	r.externalLabels(&doc, t.External)
	r.sinks(plan, &t.Sinks)
	r.jobs(plan, &t.Jobs)
	if len(r.problems) == 0 {
		r.collisions(plan, doc.Content[0])
	}
	return plan
}

// syntax says what keeps the file from being YAML at all.
func (r *reader) syntax(err error) {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if many, several := errors.AsType[*yaml.LoadErrors](err); several && len(many.Errors) > 0 {
		e, ok = many.Errors[0], true
	}
	if !ok {
		r.problems = append(r.problems, r.problem(0, 0, "", err.Error()))
		return
	}
	text, at := plain(e.Message), e.Mark
	switch {
	case strings.Contains(text, "no documents"):
		text = "the file is empty; want sinks: and jobs:"
	case strings.Contains(text, "found multiple"):
		text = "the file holds more than one document; want one, without a second ---"
	case strings.Contains(text, "cannot start any token") && strings.HasPrefix(r.line(at.Line), "\t"):
		text = "a tab cannot indent: use spaces"
	case strings.Contains(text, "cannot start any token"):
		text = "this character cannot stand here: quote a text that begins with it; or is a quote or a bracket open further up?"
	case strings.Contains(text, "alphabetic or numeric"):
		text = `a text that begins with * or & must be quoted, as in schedule: "*/5 * * * *"`
	case strings.Contains(text, "mapping values are not allowed"):
		text = `a colon and a space inside a value: quote the value`
	case strings.Contains(e.ContextMsg, "block scalar"):
		text = "a text that begins with | or > must be quoted"
	case strings.Contains(text, "did not find expected ',' or '}'"), strings.Contains(text, "did not find expected node content"):
		text = "inside { }, quote an expression that has one of [ ] { } : , in it; or is a bracket open?"
	case e.ContextMsg != "":
		text = e.ContextMsg + ": " + text
		if r.line(at.Line) == "" {
			at = e.ContextMark // the end of the file tells less than what was left open
		}
	}
	if e.Stage != yaml.ConstructorStage {
		text = "not YAML: " + text
	}
	line, col := r.within(at.Line, at.Column)
	r.problems = append(r.problems, r.problem(line, col, "", text))
}

// within is a place of the file: what lies behind its end is the end of its last line that says something.
func (r *reader) within(line, col int) (int, int) {
	if line <= 0 || line < len(r.lines) || r.line(line) != "" {
		return max(line, 0), col
	}
	line = len(r.lines)
	for line > 1 && strings.TrimSpace(r.line(line)) == "" {
		line--
	}
	return line, len([]rune(r.line(line))) + 1
}

// splitLines divides a text where YAML does: also at a lone carriage return and at Unicode's own line breaks.
func splitLines(text string) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n")
}

func (r *reader) line(n int) string {
	if n < 1 || n > len(r.lines) {
		return ""
	}
	return r.lines[n-1]
}

func (r *reader) externalLabels(doc *yaml.Node, labels map[string]string) {
	name := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	for label, value := range labels {
		path := "external_labels." + label
		switch n := find(doc.Content[0], path); {
		case !name.MatchString(label) || strings.HasPrefix(label, "__"):
			r.bad(n, path, "%q is no label name", label)
		case value == "":
			r.bad(n, path, "an empty value is no label")
		case label == "job":
			r.bad(n, path, "the label job is the job's name")
		}
	}
}
