package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// emptyFile is the text of the problem for a file without settings.
const emptyFile = "the file is empty: it needs sinks and jobs"

// Load parses and checks a configuration file. A returned error has the type Problems.
func Load(name string, text []byte, catalogue Catalogue) (*Plan, error) {
	f, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	return f.Plan(f.Root, catalogue, nil)
}

// File is a parsed configuration: one file, or several merged files. Lines are numbered across all files, so that a line
// number identifies the file too.
type File struct {
	Root    *yaml.Node           // the top-level value
	Secrets *setting.SecretStore // reads the references in settings that are not secrets; nil = from the environment and files

	parts    []part
	lines    []string            // lines of all parts
	problems Problems            // problems found while merging
	moved    map[*yaml.Node]bool // relative paths that are already changed; needed since a File can have several plans
	origins  []Origin            // origins of the parts
	broken   Problems            // syntax errors of files that have only jobs, which are not in Root
	partial  bool                // other jobs were left out, see Only
	unread   []Warning           // files that are not read, although their author probably expects it
}

// part is one of the files that a File was read from.
type part struct {
	name   string
	prefix string // path from the File's folder to the folder of this part; "" if it is the same folder
	before int    // number of lines in the parts before this one
}

// Parse parses a configuration file. It does not read the files that it includes. A returned error has the type Problems.
func Parse(name string, text []byte) (*File, error) {
	f := &File{moved: map[*yaml.Node]bool{}, parts: []part{{name: name}}, lines: splitLines(string(text))}
	var doc yaml.Node
	err := yaml.Load(text, &doc)
	if err != nil && strings.Contains(err.Error(), "invalid Unicode character escape") {
		err = yaml.Load(joinSurrogates(text), &doc)
	}
	if err != nil {
		return nil, Problems{f.syntax(err)}
	}
	f.Root = doc.Content[0]
	return f, nil
}

// Only selects one job: it returns a configuration that has this job and no other, so that errors in other jobs are not reported. If
// there is no such job, it returns the whole configuration.
func (f *File) Only(job string) *File {
	_, jobs := child(f.Root, "jobs")
	if jobs = resolve(jobs); jobs == nil {
		return f
	}
	for _, p := range pairs(jobs, 0) {
		if p.key.Value != job {
			continue
		}
		one, root := *f, *f.Root
		one.Root, root.Content, one.broken, one.partial = &root, slices.Clone(root.Content), nil, true
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == "jobs" {
				root.Content[i+1] = &yaml.Node{
					Kind: yaml.MappingNode, Tag: "!!map", Line: jobs.Line, Column: jobs.Column, Content: []*yaml.Node{p.key, p.value},
				}
			}
		}
		return &one
	}
	return f
}

// JobNames returns the names of the jobs in the order of the file.
func (f *File) JobNames() (names []string) {
	if _, jobs := child(f.Root, "jobs"); resolve(jobs) != nil {
		for _, p := range pairs(jobs, 0) {
			names = append(names, p.key.Value)
		}
	}
	return names
}

// Names returns the names of the files.
func (f *File) Names() []string {
	all := make([]string, len(f.parts))
	for i, p := range f.parts {
		all[i] = p.name
	}
	return all
}

// part returns the part to which a line belongs.
func (f *File) part(line int) part {
	after := sort.Search(len(f.parts), func(i int) bool { return f.parts[i].before >= line })
	return f.parts[max(after-1, 0)]
}

// place returns the position of a line as text for users. The argument "from" is the number of another line. The text contains the name
// of the line's file only if that other line is in a different file.
func (f *File) place(line, from int) string {
	p := f.part(line)
	if p == f.part(from) {
		return fmt.Sprintf("line %d", line-p.before)
	}
	return fmt.Sprintf("%s:%d", p.name, line-p.before)
}

// joinSurrogates replaces surrogate pairs by YAML escapes. JSON writes characters above U+FFFF as such pairs (RFC 8259,
// section 7).
func joinSurrogates(text []byte) []byte {
	pair := regexp.MustCompile(`\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	return pair.ReplaceAllFunc(text, func(found []byte) []byte {
		if len(found) == 2 {
			return found // an escaped backslash
		}
		high, _ := strconv.ParseUint(string(found[2:6]), 16, 16)
		low, _ := strconv.ParseUint(string(found[8:]), 16, 16)
		return fmt.Appendf(nil, `\U%08x`, utf16.DecodeRune(rune(high), rune(low)))
	})
}

// splitLines splits a text into lines where YAML does. A carriage return alone and the line breaks of Unicode end a line
// too.
func splitLines(text string) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n")
}

// Plan checks a configuration and returns its plan. root is f.Root, or the root of a translation of f. Each node of a translation has the
// line and column of the node of f from which it was made, so problems in a translation name the settings of f. Plan returns the problems
// that it finds together with those in the argument "before". A returned error has the type Problems.
func (f *File) Plan(root *yaml.Node, catalogue Catalogue, before Problems) (*Plan, error) {
	r := f.reader(catalogue)
	r.problems = slices.Concat(f.broken, f.problems, before)
	known := len(r.problems)
	plan := r.plan(root)
	if len(r.problems) == 0 {
		return plan, nil
	}
	if root != f.Root {
		for i := known; i < len(r.problems); i++ {
			p := &r.problems[i]
			p.Path = settingPath(f.Root, p.at, p.Col)
		}
	}
	return nil, r.problems.tidy()
}

// Sinks checks only the sinks of a configuration and returns a plan. The configuration need not have jobs. A returned error
// has the type Problems.
func (f *File) Sinks(catalogue Catalogue) (*Plan, error) {
	r := f.reader(catalogue)
	r.problems, r.sinksOnly = slices.Concat(f.broken, f.problems), true
	plan := r.plan(f.Root)
	if len(r.problems) == 0 {
		return plan, nil
	}
	return nil, r.problems.tidy()
}

func (f *File) reader(catalogue Catalogue) *reader {
	return &reader{File: f, catalogue: catalogue, meant: map[string]bool{}, unfilled: map[position]bool{}}
}

// Problem returns a problem at a node. If n is nil, the problem concerns the whole file. The argument "path" is the path of the setting.
func (f *File) Problem(n *yaml.Node, path, text string) Problem {
	if n == nil {
		return f.problem(0, 0, path, text)
	}
	return f.problem(n.Line, n.Column, path, text)
}

func (f *File) problem(line, col int, path, what string) Problem {
	p := f.part(line)
	return Problem{
		File: text.OneLine(p.name), Line: max(line-p.before, 0), Col: col, Path: text.OneLine(path), Text: text.OneLine(what),
		Source: f.line(line), at: line,
	}
}

// syntax returns the problem for a file that is not valid YAML.
func (f *File) syntax(err error) Problem {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if many, several := errors.AsType[*yaml.LoadErrors](err); several && len(many.Errors) > 0 {
		e, ok = many.Errors[0], true
	}
	if !ok {
		return f.problem(0, 0, "", err.Error())
	}
	text, at := f.decoderMessage(e.Message, e.Mark.Line), e.Mark
	switch {
	case strings.Contains(text, "no documents"):
		text = emptyFile
	case strings.Contains(text, "found multiple"):
		text, at = "the file has more than one YAML document: remove this line ---, so that they are one, or write each to a file of its own (-c DIR reads all files of a directory)", f.second()
	case strings.Contains(text, "cannot start any token") && strings.HasPrefix(f.line(at.Line), "\t"):
		text = "YAML cannot be indented with tabs: use spaces"
	case strings.Contains(text, "cannot start any token"):
		text = "unexpected character: quote the value if it begins with this character, or close the quote or bracket that is open above"
	case strings.Contains(text, "alphabetic or numeric"):
		text = `a value that begins with * or & must be quoted, as in schedule: "*/5 * * * *"`
	case strings.Contains(text, "mapping values are not allowed"):
		text = `the value contains a colon and a space: quote it`
	case strings.Contains(e.ContextMsg, "block scalar"):
		text = "a value that begins with | or > must be quoted"
	case strings.Contains(text, "did not find expected ',' or '}'"), strings.Contains(text, "did not find expected node content"):
		text = "inside { }, quote a value that contains one of [ ] { } : , and close every bracket"
	case e.ContextMsg != "":
		text = e.ContextMsg + ": " + text
		if f.line(at.Line) == "" {
			at = e.ContextMark // show what was left open instead of the end of the file
		}
	}
	if e.Stage != yaml.ConstructorStage {
		text = "not valid YAML: " + text
	}
	line, col := f.within(at.Line, at.Column)
	return f.problem(line, col, "", text)
}

// second returns the position of the line --- that begins the second YAML document.
func (f *File) second() yaml.Mark {
	content := false
	for i, line := range f.lines {
		if content && (line == "---" || strings.HasPrefix(line, "--- ")) {
			return yaml.Mark{Line: i + 1, Column: 1}
		}
		line = strings.TrimSpace(line)
		content = content || line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "%")
	}
	return yaml.Mark{}
}

// within returns a position in the file. If the given position is after the end of the file, it returns the end of the last line that is
// not blank.
func (f *File) within(line, col int) (int, int) {
	if line <= 0 || line < len(f.lines) || f.line(line) != "" {
		return max(line, 0), col
	}
	line = len(f.lines)
	for line > 1 && strings.TrimSpace(f.line(line)) == "" {
		line--
	}
	return line, len([]rune(f.line(line))) + 1
}

// line returns the line with the number n. Lines are counted from 1.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}
