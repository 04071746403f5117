package http

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// templates holds the compiled templates of the settings.
type templates struct {
	path    itemTemplate // nil = the path has no template
	query   []parameter
	headers []parameter
	form    []parameter
	parts   []parameter // fields of multipart
	body    itemTemplate

	escape func(string) (string, error) // escapes values that are filled into the body
}

// parameter is a query parameter, a header, or a field of a form or of a multipart body. Its field "text" is nil if the value is a
// reference.
type parameter struct {
	name  string
	value setting.Template
	text  itemTemplate
}

// templates compiles the templates. Errors name the settings.
func (c *Config) templates() (*templates, error) {
	t := &templates{}
	var problems []error
	parse := func(at, text string) itemTemplate {
		parsed, err := parseTemplate(text, c.ForEach != nil)
		if err != nil {
			problems = append(problems, setting.Errorf(at, "%v", err))
		}
		return parsed
	}
	parameters := func(under string, given map[string]setting.Template) (all []parameter) {
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
	t.form, t.parts = parameters("form", c.Form), parameters("multipart.fields", c.Multipart.Fields)
	t.body = parse("body", c.Body)
	t.escape = c.bodyEscape()
	return t, errors.Join(problems...)
}

// bodyEscape returns the function that escapes a value for the body. If the body begins like JSON or XML, the function escapes for JSON or
// XML. Otherwise, if the Content-Type is that of a form, it escapes for a form. In all other cases, it returns the value unchanged.
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

// any reports whether the function "is" returns true for at least one of the templates.
func (t *templates) any(is func(itemTemplate) bool) bool {
	for _, p := range slices.Concat(t.query, t.headers, t.form, t.parts) {
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
		path += "#" + c.URL.Fragment // the # belongs to the template, as in {{ secret "file:/path#KEY" }}
	}
	return path
}

// itemTemplate is a text that can contain times of a tick, fields of an item, secrets, and values that are computed from these. It is
// a sequence of parts.
type itemTemplate []templatePart

// templatePart is a text with times of a tick, followed by a field of an item, a secret, a computed value or nothing.
type templatePart struct {
	text    *template.Template
	field   []string       // path of the item's field; nil = no field follows
	secret  setting.Secret // "" = no secret follows
	formula *formula       // nil = no computed value follows
}

// itemField matches a field of an item, such as {{ .Item.id }}.
var itemField = pattern.OnUse(`\{\{-?\s*\.Item((?:\.[A-Za-z_]\w*)*)\s*-?\}\}`)

// parseTemplate compiles a text. The text may contain item fields if items is true. Values of fields and secrets that look like
// templates are not executed.
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
	return parts, parts.checkCost()
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
		more, err := parseFormulas(text[:end], items)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
		if at == nil {
			return parts, nil
		}
		parts[len(parts)-1].field = strings.Split(text[at[2]:at[3]], ".")[1:]
		text = text[at[1]:]
	}
}

// namesItem reports whether the text contains an item field.
func (t itemTemplate) namesItem() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.field != nil || p.formula.namesItem() })
}

// hasSecret reports whether the text contains a secret.
func (t itemTemplate) hasSecret() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.secret != "" || p.formula.hasSecret() })
}

// varies reports whether the text depends on the tick.
func (t itemTemplate) varies() bool {
	return slices.ContainsFunc(t, func(p templatePart) bool { return p.text.Varies() || p.formula.hasTime() })
}

// execute returns the text with everything filled in. The item may be nil if the text has no item field. The value of each field, secret
// and formula is escaped with the function "escape". The argument "now" is the time of the request.
func (t itemTemplate) execute(
	tick sources.Tick, i *item, vault *setting.SecretStore, now time.Time, escape func(string) (string, error),
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
			value, err = vault.Secret(part.secret)
		case part.formula != nil:
			value, err = part.formula.compute(tick, i, vault, now)
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

// escapePath escapes a value as one segment of a path.
func escapePath(field string) (string, error) {
	if field == "." || field == ".." {
		return "", errDots
	}
	return url.PathEscape(field), nil
}

// noEscape returns the value unchanged. It is used for plain text, and for queries, which are escaped as a whole later.
func noEscape(field string) (string, error) { return field, nil }

// escapeForm escapes a value for use within a form.
func escapeForm(field string) (string, error) { return url.QueryEscape(field), nil }

// escapeXML escapes a value for use within an element or an attribute.
func escapeXML(field string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(field))
	return b.String(), err
}

// escapeJSON escapes a value for use within a JSON string. A number is not changed.
func escapeJSON(field string) (string, error) {
	quoted, err := json.Marshal(field)
	if err != nil {
		return "", err
	}
	return string(quoted[1 : len(quoted)-1]), nil
}
