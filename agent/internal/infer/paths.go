package infer

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/collectington/collectington/agent/document"
)

// Limits for the output of WritePaths.
const (
	maxPaths   = 300
	maxExample = 40 // maximum number of characters of an example
	maxShown   = 4  // maximum number of distinct values
)

// WritePaths writes the positions of a document, one per line. A line has the path as written in expressions, the kinds of
// the values, their number, and the distinct values or an example.
func WritePaths(w io.Writer, root document.Value) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := &paths{table: table}
	p.show(tree(root), "")
	if p.more > 0 {
		fmt.Fprintf(table, "… %d more paths\n", p.more)
	}
	return table.Flush()
}

type paths struct {
	table       io.Writer
	shown, more int
}

func (p *paths) show(n *node, path string) {
	if p.shown++; p.shown > maxPaths {
		p.more++
	} else {
		at := path
		if at == "" {
			at = "."
		}
		fmt.Fprintf(p.table, "%s\t%s\t%s\t%s\n", oneLine(at), n.what(), n.times(), n.examples())
	}
	switch {
	case n.names:
		p.show(n.elem, path+"[]")
		return
	case n.elem != nil && n.elem.seen > 0:
		if path == "" {
			path = "."
		}
		p.show(n.elem, path+"[]")
	}
	for _, m := range n.members {
		if m.family != "" {
			p.show(m.elem, member(path, m.members[0].key)) // all members of a family have the same shape, so only the first is shown
			continue
		}
		p.show(m, member(path, m.key))
	}
}

// what returns the kinds of the values.
func (n *node) what() string {
	var out []string
	add := func(count int, what string) {
		if count > 0 {
			out = append(out, what)
		}
	}
	add(n.kinds[document.Object], "object")
	add(n.kinds[document.Array], "list")
	add(n.kinds[document.String], "text")
	add(n.kinds[document.Number], "number")
	add(n.kinds[document.True]+n.kinds[document.False], "true or false")
	if n.kinds[document.Null] > 0 {
		out = append(out, "null")
	}
	return strings.Join(out, ", ")
}

// times returns the number of values.
func (n *node) times() string {
	text := strconv.Itoa(n.seen) + "x"
	if null := n.kinds[document.Null]; null > 0 && null < n.seen {
		text += ", " + strconv.Itoa(null) + " null"
	}
	return text
}

// examples returns the distinct values, or for a list or object a description of its content.
func (n *node) examples() string {
	switch {
	case n.names:
		return fmt.Sprintf("%d keys that are names, such as %s: use to_entries[]", len(n.members), brief(n.members[0].key))
	case n.kinds[document.Array] > 0 && n.least == n.most:
		return strconv.Itoa(n.most) + " items"
	case n.kinds[document.Array] > 0:
		return fmt.Sprintf("%d to %d items", n.least, n.most)
	case len(n.order) == 0:
		return ""
	}
	several := strconv.Itoa(len(n.order))
	if n.more {
		several = "more than " + several
	}
	if len(n.order) > maxShown {
		return fmt.Sprintf("%s values, such as %s", several, brief(n.order[0]))
	}
	var out []string
	for _, text := range n.order {
		out = append(out, brief(text))
	}
	return strings.Join(out, " | ")
}

// brief returns the beginning of a value as one line.
func brief(text string) string {
	runes := []rune(oneLine(text))
	if len(runes) > maxExample {
		return string(runes[:maxExample]) + "…"
	}
	return string(runes)
}
