package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
)

// Document is a configuration file that has been parsed.
type Document struct {
	Root *yaml.Node // what stands at its top

	file  string
	lines []string
}

// Parse parses a file. The error, if any, is Problems.
func Parse(file string, text []byte) (*Document, error) {
	d := &Document{file: file, lines: splitLines(string(text))}
	var doc yaml.Node
	err := yaml.Load(text, &doc)
	if err != nil && strings.Contains(err.Error(), "invalid Unicode character escape") {
		err = yaml.Load(joinSurrogates(text), &doc)
	}
	if err != nil {
		return nil, Problems{d.syntax(err)}
	}
	d.Root = doc.Content[0]
	return d, nil
}

// joinSurrogates writes the pairs that JSON has for a character beyond U+FFFF (RFC 8259, section 7) as YAML does.
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

// Plan checks what a configuration says. That is the document's own root, or a translation of it whose nodes carry the lines
// and columns of those that they come from; then problems name the document's own settings. Problems found before are told
// with those found here. The error, if any, is Problems.
func (d *Document) Plan(root *yaml.Node, catalogue Catalogue, before Problems) (*Plan, error) {
	r := &reader{Document: d, catalogue: catalogue, meant: map[string]bool{}, problems: slices.Clone(before)}
	plan := r.plan(root)
	if len(r.problems) == 0 {
		return plan, nil
	}
	if root != d.Root {
		for i := len(before); i < len(r.problems); i++ {
			p := &r.problems[i]
			p.Path = place(d.Root, p.Line, p.Col)
		}
	}
	r.problems.sort()
	return nil, slices.CompactFunc(r.problems, func(a, b Problem) bool { return a == b })
}

// Problem is one at a node of the document; path is what the setting is called. Without a node it is the file's as a whole.
func (d *Document) Problem(n *yaml.Node, path, text string) Problem {
	if n == nil {
		return d.problem(0, 0, path, text)
	}
	return d.problem(n.Line, n.Column, path, text)
}

func (d *Document) problem(line, col int, path, what string) Problem {
	return Problem{File: d.file, Line: line, Col: col, Path: text.OneLine(path), Text: text.OneLine(what), Source: d.line(line)}
}

// syntax says what keeps the file from being YAML at all.
func (d *Document) syntax(err error) Problem {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if many, several := errors.AsType[*yaml.LoadErrors](err); several && len(many.Errors) > 0 {
		e, ok = many.Errors[0], true
	}
	if !ok {
		return d.problem(0, 0, "", err.Error())
	}
	text, at := plain(e.Message), e.Mark
	switch {
	case strings.Contains(text, "no documents"):
		text = "the file is empty; want sinks: and jobs:"
	case strings.Contains(text, "found multiple"):
		text = "the file holds more than one document; want one, without a second ---"
	case strings.Contains(text, "cannot start any token") && strings.HasPrefix(d.line(at.Line), "\t"):
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
		if d.line(at.Line) == "" {
			at = e.ContextMark // the end of the file tells less than what was left open
		}
	}
	if e.Stage != yaml.ConstructorStage {
		text = "not YAML: " + text
	}
	line, col := d.within(at.Line, at.Column)
	return d.problem(line, col, "", text)
}

// within is a place of the file: what lies behind its end is the end of its last line that says something.
func (d *Document) within(line, col int) (int, int) {
	if line <= 0 || line < len(d.lines) || d.line(line) != "" {
		return max(line, 0), col
	}
	line = len(d.lines)
	for line > 1 && strings.TrimSpace(d.line(line)) == "" {
		line--
	}
	return line, len([]rune(d.line(line))) + 1
}

// splitLines divides a text where YAML does: also at a lone carriage return and at Unicode's own line breaks.
func splitLines(text string) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n")
}

func (d *Document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}
