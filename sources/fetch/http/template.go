package http

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// templates are the compiled templates of the settings.
type templates struct {
	path    itemTemplate // nil = the path has no template
	query   []parameter
	headers []parameter
	form    []parameter
	body    itemTemplate

	escape func(string) (string, error) // of what is filled into the body
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
	t.form = parameters("form", c.Form)
	t.body = parse("body", c.Body)
	t.escape = c.bodyEscape()
	return t, errors.Join(problems...)
}

// bodyEscape returns how a value is written within the body: as in JSON or XML if the body begins like it, as in a form if the
// Content-Type says so, else as it is.
func (c *Config) bodyEscape() func(string) (string, error) {
	begin := strings.TrimSpace(c.Body)
	switch {
	case strings.HasPrefix(begin, "{") && !strings.HasPrefix(begin, "{{"), strings.HasPrefix(begin, "["):
		return escapeJSON
	case strings.HasPrefix(begin, "<"):
		return escapeXML
	}
	for name, value := range c.Headers {
		if strings.EqualFold(name, "Content-Type") && strings.HasPrefix(string(value), "application/x-www-form-urlencoded") {
			return escapeForm
		}
	}
	return noEscape
}

// any reports whether a template satisfies is.
func (t *templates) any(is func(itemTemplate) bool) bool {
	for _, p := range slices.Concat(t.query, t.headers, t.form) {
		if is(p.text) {
			return true
		}
	}
	return is(t.path) || is(t.body)
}

// writtenPath returns the path of the URL as it was written.
func (c *Config) writtenPath() string {
	path := c.URL.EscapedPath()
	if c.URL.RawPath != "" {
		path = c.URL.RawPath
	}
	if strings.Count(path, "{{") > strings.Count(path, "}}") {
		path += "#" + c.URL.Fragment // of {{ secret "file:/path#KEY" }}
	}
	return path
}

// itemTemplate is a text with fields of an item, secrets and times of a tick: parts of text, each followed by a field, a secret or
// nothing.
type itemTemplate []templatePart

// templatePart is a template of the tick and what follows it.
type templatePart struct {
	text   *template.Template
	field  []string       // of the item; nil = none
	secret setting.Secret // "" = none
}

// itemField matches a field of an item, such as {{ .Item.id }}.
var itemField = pattern.OnUse(`\{\{-?\s*\.Item((?:\.[A-Za-z_]\w*)*)\s*-?\}\}`)

// parseTemplate compiles a text. It may contain item fields if items is true. Their values, and those of secrets, are never taken
// for templates.
func parseTemplate(text string, items bool) (itemTemplate, error) {
	pieces, err := setting.Pieces(text)
	if err != nil {
		return nil, err
	}
	var parts itemTemplate
	for _, p := range pieces {
		if p.Secret != "" {
			parts[len(parts)-1].secret = p.Secret
			continue
		}
		more, err := parseItems(p.Letters, items)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return parts, nil
}

// parseItems compiles a text without secrets.
func parseItems(text string, items bool) (itemTemplate, error) {
	var parts itemTemplate
	for {
		var at []int
		if items {
			at = itemField().FindStringSubmatchIndex(text)
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
func (t itemTemplate) namesItem() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.field != nil })
}

// hasSecret reports whether the text contains a secret.
func (t itemTemplate) hasSecret() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.secret != "" })
}

// varies reports whether the text differs from window to window.
func (t itemTemplate) varies() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.text.Varies() })
}

// execute fills in the text. The item may be nil if the text names none. Escape is applied to each field and secret.
func (t itemTemplate) execute(
	tick sources.Tick, i *item, read func(setting.Secret) (string, error), escape func(string) (string, error),
) (string, error) {
	var out strings.Builder
	for _, part := range t {
		text, err := part.text.Execute(tick)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
		value := ""
		switch {
		case part.field != nil:
			value, err = i.field(part.field)
		case part.secret != "":
			value, err = read(part.secret)
		default:
			continue
		}
		if err == nil {
			value, err = escape(value)
		}
		if err != nil {
			return "", err
		}
		out.WriteString(value)
	}
	return out.String(), nil
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

// escapeForm escapes a field within a form.
func escapeForm(field string) (string, error) { return url.QueryEscape(field), nil }

// escapeXML escapes a field within an element or an attribute.
func escapeXML(field string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(field))
	return b.String(), err
}

// escapeJSON escapes a field within a JSON string. A number stays as it is.
func escapeJSON(field string) (string, error) {
	quoted, err := json.Marshal(field)
	if err != nil {
		return "", err
	}
	return string(quoted[1 : len(quoted)-1]), nil
}
