package http

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// templates are the compiled templates of the settings.
type templates struct {
	path    itemTemplate // nil = the path has no template
	query   []parameter
	headers []parameter
	body    itemTemplate
	json    bool // the body is JSON
}

// parameter is a query parameter or a header. Text is nil if the value is a reference.
type parameter struct {
	name  string
	value setting.Text
	text  itemTemplate
}

// templates compiles the templates. Its errors name their settings.
func (c *Config) templates() (*templates, error) {
	t := &templates{}
	var problems []error
	parse := func(at, text string) itemTemplate {
		parsed, err := parseTemplate(text, c.ForEach != nil)
		if err != nil {
			problems = append(problems, setting.Bad(at, "%v", err))
		}
		return parsed
	}
	parameters := func(under string, given map[string]setting.Text) (all []parameter) {
		for _, name := range sorted(given) {
			p := parameter{name: name, value: given[name]}
			if !p.value.IsReference() {
				p.text = parse(under+"."+name, string(p.value))
			}
			all = append(all, p)
		}
		return all
	}
	if path := c.writtenPath(); strings.Contains(path, "{{") {
		t.path = parse("url", path)
	}
	t.query, t.headers = parameters("query", c.Query), parameters("headers", c.Headers)
	t.body = parse("body", c.Body)
	begin := strings.TrimSpace(c.Body)
	t.json = strings.HasPrefix(begin, "{") || strings.HasPrefix(begin, "[")
	return t, errors.Join(problems...)
}

// any reports whether a template satisfies is.
func (t *templates) any(is func(itemTemplate) bool) bool {
	for _, p := range append(append([]parameter{}, t.query...), t.headers...) {
		if is(p.text) {
			return true
		}
	}
	return is(t.path) || is(t.body)
}

// writtenPath returns the path of the URL as it was written.
func (c *Config) writtenPath() string {
	if c.URL.RawPath != "" {
		return c.URL.RawPath
	}
	return c.URL.EscapedPath()
}

// itemTemplate is a text with fields of an item and times of a tick: parts of text, each but the last followed by a field.
type itemTemplate []templatePart

// templatePart is a template of the tick and the item field that follows it.
type templatePart struct {
	text  *template.Template
	field []string // nil = none
}

// itemField matches a field of an item, such as {{ .Item.id }}.
var itemField = regexp.MustCompile(`\{\{-?\s*\.Item((?:\.[A-Za-z_]\w*)*)\s*-?\}\}`)

// parseTemplate compiles a text. It may contain item fields if items is true. Their values are never taken for templates.
func parseTemplate(text string, items bool) (itemTemplate, error) {
	var parts itemTemplate
	for {
		var at []int
		if items {
			at = itemField.FindStringSubmatchIndex(text)
		}
		end := len(text)
		if at != nil {
			end = at[0]
		}
		compiled, err := template.Parse(text[:end])
		if err != nil {
			return nil, err
		}
		part := templatePart{text: compiled}
		if at == nil {
			return append(parts, part), nil
		}
		part.field = strings.Split(text[at[2]:at[3]], ".")[1:]
		parts = append(parts, part)
		text = text[at[1]:]
	}
}

// namesItem reports whether the text contains an item field.
func (t itemTemplate) namesItem() bool { return len(t) > 1 }

// varies reports whether the text differs from window to window.
func (t itemTemplate) varies() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.text.Varies() })
}

// execute fills in the text. The item may be nil if the text names none. Escape is applied to each field.
func (t itemTemplate) execute(tick sources.Tick, i *item, escape func(string) (string, error)) (string, error) {
	var b strings.Builder
	for n, part := range t {
		text, err := part.text.Execute(tick)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if n == len(t)-1 {
			break
		}
		field, err := i.field(part.field)
		if err == nil {
			field, err = escape(field)
		}
		if err != nil {
			return "", err
		}
		b.WriteString(field)
	}
	return b.String(), nil
}

var errDots = errors.New("the item's field is . or .., which is not a valid path segment")

// escapePath escapes a field as one segment of a path.
func escapePath(field string) (string, error) {
	if field == "." || field == ".." {
		return "", errDots
	}
	return url.PathEscape(field), nil
}

// noEscape is for a query, which is escaped as a whole, and for plain text.
func noEscape(field string) (string, error) { return field, nil }

// escapeJSON escapes a field within a JSON string. A number stays as it is.
func escapeJSON(field string) (string, error) {
	quoted, err := json.Marshal(field)
	if err != nil {
		return "", err
	}
	return string(quoted[1 : len(quoted)-1]), nil
}
