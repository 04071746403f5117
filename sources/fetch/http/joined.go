package http

import (
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// joined is the JSON text of pages as one document: the first page, with the items of all of them in its list. Beside the
// page under way and the document's values it is all that many pages take of memory.
type joined struct {
	path []string // of the list
	max  int      // bytes
	from string   // the first page's
	text []byte
	tail []byte // of the first page, after its list
	some bool   // there are items
}

// add adds a page, and returns its items' text, valid until the next call.
func (j *joined) add(doc *sources.Document, list document.Value) ([]byte, error) {
	if j.from == "" {
		j.from = doc.From
		hole := 0
		j.text = j.frame(j.text, doc.Root, j.path, &hole)
		j.tail = append(j.tail, j.text[hole:]...)
		j.text = j.text[:hole]
	}
	begin := len(j.text)
	for item := range list.Items {
		if j.some {
			j.text = append(j.text, ',')
		}
		j.some = true
		if j.text = item.AppendJSON(j.text, j.max); len(j.text)+len(j.tail) > j.max {
			return nil, fmt.Errorf("the pages together exceed max_body (%s)", setting.Bytes(j.max))
		}
	}
	items := j.text[begin:]
	if len(items) > 0 && items[0] == ',' {
		items = items[1:]
	}
	return items, nil
}

// frame appends a document whose list at the path is empty. Hole is where the list's items belong; of several members of
// one name the last counts.
func (j *joined) frame(into []byte, v document.Value, path []string, hole *int) []byte {
	if len(path) == 0 {
		*hole = len(into) + 1
		return append(into, "[]"...)
	}
	into = append(into, '{')
	comma := false
	for key, member := range v.Members {
		if comma {
			into = append(into, ',')
		}
		comma = true
		into = append(document.AppendQuoted(into, key), ':')
		if key == path[0] {
			into = j.frame(into, member, path[1:], hole)
		} else {
			into = member.AppendJSON(into, j.max)
		}
	}
	return append(into, '}')
}

// document decodes the pages together. The text must not change while the document is in use.
func (j *joined) document(parser *sources.Parser) (*sources.Document, error) {
	j.text = append(j.text, j.tail...)
	doc, err := parser.JSON(j.from, j.text)
	if err != nil {
		return nil, fmt.Errorf("%s: the pages together: %w", j.from, err)
	}
	return doc, nil
}
