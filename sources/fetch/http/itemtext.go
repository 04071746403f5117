package http

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// itemField is where a field of an item belongs, such as {{ .Item.id }}.
var itemField = regexp.MustCompile(`\{\{-?\s*\.Item((?:\.[A-Za-z_]\w*)*)\s*-?\}\}`)

// writtenPath is the path of the address as it was written.
func (c *Config) writtenPath() string {
	if c.URL.RawPath != "" {
		return c.URL.RawPath
	}
	return c.URL.EscapedPath()
}

// itemText is a text with an item's fields and a tick's times in it.
type itemText []itemPart

// itemPart is a template of a tick, and the field that follows it.
type itemPart struct {
	text  *template.Template
	field []string // nil = none
}

// parseItemText compiles a text, in which an item's fields may stand where there are items. What they hold is never taken for
// a template.
func parseItemText(text string, items bool) (itemText, error) {
	var parts itemText
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
		part := itemPart{text: compiled}
		if at == nil {
			return append(parts, part), nil
		}
		part.field = strings.Split(text[at[2]:at[3]], ".")[1:]
		parts = append(parts, part)
		text = text[at[1]:]
	}
}

// namesItem tells whether a field of an item stands in the text.
func (t itemText) namesItem() bool { return len(t) > 1 }

// varies tells whether the text differs from window to window.
func (t itemText) varies() bool {
	return slices.ContainsFunc(t, func(p itemPart) bool { return p.text.Varies() })
}

// fill fills the text in; the item may be nil where the text names none. Escape makes of a field what can stand there.
func (t itemText) fill(tick sources.Tick, i *item, escape func(string) (string, error)) (string, error) {
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

var errDots = errors.New("an item's field is . or .., which is no segment of a path")

// inPath keeps a field within its segment of a path.
func inPath(field string) (string, error) {
	if field == "." || field == ".." {
		return "", errDots
	}
	return url.PathEscape(field), nil
}

// asIs is for a query, which is escaped as a whole.
func asIs(field string) (string, error) { return field, nil }

// inJSON keeps a field within its text in JSON. A number stays as it is.
func inJSON(field string) (string, error) {
	quoted, err := json.Marshal(field)
	if err != nil {
		return "", err
	}
	return string(quoted[1 : len(quoted)-1]), nil
}
