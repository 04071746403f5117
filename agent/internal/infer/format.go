package infer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// Format is the data format of an answer.
type Format struct {
	Name     format.Name // "" = JSON
	Settings string      // a further setting that the format needs, as a line of YAML
	settings format.Settings
}

// Exposition reports whether the answer is a page of metrics, which a scrape forwards unchanged.
func (f Format) Exposition() bool { return f.Name == format.Prometheus }

// String returns the name of the format for messages.
func (f Format) String() string {
	switch f.Name {
	case "":
		return "JSON"
	case format.Prometheus:
		return "Prometheus text"
	}
	return strings.ToUpper(string(f.Name))
}

var (
	sampleLine = pattern.OnUse(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?[ \t]+[-+]?([0-9.]+([eE][-+]?[0-9]+)?|Inf|NaN)([ \t]+-?[0-9]+)?$`)
	yamlLine   = pattern.OnUse(`(?m)^\s*(- )?[A-Za-z_][A-Za-z0-9_. -]*:(\s|$)`)
	pairsLine  = pattern.OnUse(`(?m)^\s*[A-Za-z][^:=\n]*[:=]\s*[0-9.]+[ \t]+[A-Za-z][^:=\n]*[:=]\s*[0-9.]+[ \t]*`)
	pairLine   = pattern.OnUse(`(?m)^\s*([^:=\n]+?)\s*[:=]\s*([-+]?[0-9]+(?:\.[0-9]+)?)\b`)
)

// maxSniffed is the maximum number of bytes of a text that are examined.
const maxSniffed = 64 << 10

// Sniff detects the format of an answer. The text must be in UTF-8.
func Sniff(contentType string, text []byte) (Format, error) {
	begin := bytes.TrimSpace(text[:min(len(text), maxSniffed)])
	kind, _, _ := mime.ParseMediaType(contentType)
	lower := bytes.ToLower(begin[:min(len(begin), 200)])
	switch {
	case len(begin) == 0:
		return Format{}, errors.New("the answer is empty")
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")):
		return Format{}, fmt.Errorf("the answer is an HTML page that begins with %s: is it a login or error page? Give the URL of the API, and -H or --auth if it needs a login", sources.Excerpt(begin, 40))
	case bytes.HasPrefix(begin, []byte("#!")):
		return Format{}, errors.New("this is a program, not an answer: to deliver how a run of it goes, see cton exec --help; for metrics from what it prints, see cton explain exec")
	case begin[0] == '{' || begin[0] == '[' || begin[0] == '"':
		return sniffJSON(kind, text), nil
	case begin[0] == '<':
		return named(format.XMLTree, ""), nil
	case isExposition(begin):
		return named(format.Prometheus, ""), nil
	}
	if f, ok := sniffTable(kind, begin); ok {
		return f, nil
	}
	if yamlLine().Match(begin) {
		f := named(format.YAML, "")
		if _, err := f.Decode(text); err == nil {
			return f, nil
		}
	}
	if len(pairLine().FindAll(begin, 3)) >= 2 {
		return pairs(begin)
	}
	var p document.Parser
	if _, err := p.Parse(text); err == nil {
		return Format{settings: format.Defaults()}, nil
	}
	return Format{}, fmt.Errorf("the answer is neither JSON, CSV, XML, YAML nor metrics; it begins with %s. For other texts set format: text with a pattern (cton explain http)", sources.Excerpt(begin, 60))
}

func named(name format.Name, setting string) Format {
	f := Format{Name: name, Settings: setting, settings: format.Defaults()}
	f.settings.Format = name
	return f
}

// pairs returns the format for lines with a name and a number, such as "active connections: 3", or with several such
// pairs.
func pairs(text []byte) (Format, error) {
	pattern := `(?m)^\s*(?P<name>[^:=\n]+?)\s*[:=]\s*(?P<value>[-+]?[0-9]+(?:\.[0-9]+)?)(?:[ \t]*%|[ \t]+[A-Za-z]\S{0,7})?[ \t\r]*$`
	if pairsLine().Match(text) {
		pattern = `(?P<name>[A-Za-z_][^:=\n]*?)\s*[:=]\s*(?P<value>[-+]?[0-9]+(?:\.[0-9]+)?)(?:[ \t\r]|\n|$)`
	}
	f := named(format.PlainText, "text: {pattern: "+yamlText(pattern)+"}")
	return f, f.settings.Text.Pattern.UnmarshalText([]byte(pattern))
}

// sniffJSON decides whether a text is one JSON value or one JSON value per line.
func sniffJSON(kind string, text []byte) Format {
	json := Format{settings: format.Defaults()}
	json.settings.Format = format.JSON
	if kind != "" && strings.Contains(kind, "json") && !strings.Contains(kind, "nd") && !strings.Contains(kind, "lines") && kind != "application/jsonl" {
		return json
	}
	var p document.Parser
	_, err := p.Parse(text)
	if err == nil {
		if kind != "" && kind != "application/json" && !strings.HasSuffix(kind, "+json") && kind != "text/json" {
			return named(format.JSON, "")
		}
		return json
	}
	if _, err := p.ParseLines(text); err == nil {
		return named(format.NDJSON, "")
	}
	return json
}

// isExposition reports whether all lines can belong to a page of metrics.
func isExposition(begin []byte) bool {
	samples, comments := 0, 0
	lines := strings.Split(string(begin), "\n")
	if len(begin) >= maxSniffed-2 && len(lines) > 1 {
		lines = lines[:len(lines)-1]
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "# HELP "), strings.HasPrefix(line, "# TYPE "):
			comments++
		case strings.HasPrefix(line, "#"):
		case sampleLine().MatchString(strings.SplitN(line, " # ", 2)[0]):
			samples++
		default:
			return false
		}
	}
	return samples > 0 && (comments > 0 || samples > 1)
}

// sniffTable finds the delimiter of a table: a character that occurs the same number of times in every line.
func sniffTable(kind string, begin []byte) (Format, bool) {
	var lines []string
	for line := range strings.Lines(string(begin)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && len(lines) < 20 {
			lines = append(lines, line)
		}
	}
	comment := ""
	for len(lines) > 2 && strings.HasPrefix(lines[0], "#") && strings.Count(lines[0], ",") != strings.Count(lines[len(lines)-2], ",") {
		lines, comment = lines[1:], "#"
	}
	if len(begin) >= maxSniffed-2 && len(lines) > 1 && len(lines) < 20 {
		lines = lines[:len(lines)-1]
	}
	for _, delimiter := range []string{",", "\t", ";", "|"} {
		n := strings.Count(unquoted(lines[0]), delimiter)
		alike := len(lines) > 1
		for _, line := range lines {
			alike = alike && strings.Count(unquoted(line), delimiter) == n
		}
		if n == 0 || !alike && !(strings.Contains(kind, "csv") && delimiter == ",") {
			continue
		}
		return table(delimiter, comment), true
	}
	if strings.Contains(kind, "csv") {
		return table(",", comment), true
	}
	return Format{}, false
}

func table(delimiter, comment string) Format {
	if delimiter == "\t" && comment == "" {
		return named(format.TSVTable, "")
	}
	var settings []string
	f := named(format.CSVTable, "")
	if delimiter != "," {
		f.settings.CSV.Delimiter = format.Char(delimiter[0])
		settings = append(settings, "delimiter: "+`"`+strings.ReplaceAll(delimiter, "\t", `\t`)+`"`)
	}
	if comment != "" {
		f.settings.CSV.Comment = format.Char(comment[0])
		settings = append(settings, `comment: "#"`)
	}
	if len(settings) > 0 {
		f.Settings = "csv: {" + strings.Join(settings, ", ") + "}"
	}
	return f
}

var quoted = pattern.OnUse(`"[^"]*"`)

func unquoted(line string) string { return quoted().ReplaceAllString(line, "") }

// Decode decodes an answer.
func (f Format) Decode(text []byte) (document.Value, error) {
	s := f.settings
	doc, err := s.Decoder(nil).Decode(context.Background(), "the answer", "", text)
	if err != nil {
		return document.Value{}, err
	}
	return doc.Root, nil
}
