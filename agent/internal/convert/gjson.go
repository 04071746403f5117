package convert

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// gjson translates a path of the gjson library to jq. Telegraf's parsers use this library. If the path goes through all items of a list,
// the result "items" is the jq expression of the items, and the result "rest" is the path within an item. Otherwise "items" is "".
func gjson(text string) (items, rest string, err error) {
	g, err := readGJSON(text)
	return g.items, jqOr(g.jq), err
}

func readGJSON(text string) (gjsonReader, error) {
	text = strings.TrimSpace(text)
	if len(text) > 4096 {
		return gjsonReader{}, fmt.Errorf("the path is longer than 4096 characters")
	}
	g := gjsonReader{exists: "true"}
	if text != "@this" {
		g.rest = strings.TrimPrefix(text, "@this.")
	}
	for g.rest != "" {
		if err := g.part(); err != nil {
			return gjsonReader{}, err
		}
	}
	return g, nil
}

func jqOr(s string) string {
	if s == "" {
		return "."
	}
	return s
}

type gjsonReader struct {
	rest  string
	items string // jq expression up to the last list
	jq    string

	// exists is a jq condition that is true if there is a value at the path, even if this value is null. It gives nothing or fails if an
	// object or list on the way is missing. If exists is "", a path whose value is null counts as a path without a value.
	exists string
}

// add appends an access such as .name or [0] to the jq expression.
func (g *gjsonReader) add(access string) {
	if strings.HasPrefix(access, "[") && g.jq == "" {
		access = "." + access
	}
	g.jq += access
}

// wrap makes the current jq expression the input of a jq function.
func (g *gjsonReader) wrap(pipe string) { g.jq = "(" + jqOr(g.jq) + " | " + pipe + ")" }

func (g *gjsonReader) part() error {
	if strings.HasPrefix(g.rest, "{") {
		return g.object()
	}
	if strings.HasPrefix(g.rest, "#(") {
		return g.query()
	}
	word, end := g.word()
	parent := jqOr(g.jq)
	g.exists = ""
	switch {
	case strings.HasPrefix(word, "@"):
		name, _, _ := strings.Cut(word, ":")
		switch name {
		case "@this":
		case "@values":
			g.wrap("[.[]]")
		case "@reverse":
			g.wrap(`if type == "array" then reverse else . end`)
		case "@flatten":
			g.wrap("flatten(1)")
		default:
			return errors.New("cton has no equivalent of a modifier: write the jq expression by hand")
		}
	case word == "#" && end:
		g.wrap("arrays | length")
	case word == "#":
		g.items = jqOr(joined(g.items, g.jq)) + "[]"
		g.jq = ""
	case strings.ContainsAny(strings.NewReplacer(`\*`, "", `\?`, "").Replace(word), "*?") || strings.Contains(word, "|"):
		return errors.New("cton has no equivalent of a pattern in a name: write the jq expression by hand")
	default:
		name := unescape(word)
		g.exists = piped(parent, "objects | has("+quote(name)+")")
		if n, err := strconv.Atoi(name); err == nil && n >= 0 {
			g.exists = piped(parent, fmt.Sprintf("if type == \"array\" then length > %d else objects | has(%q) end", n, name))
			g.wrap(fmt.Sprintf("if type == \"array\" then .[%d] else .%q end", n, name))
			return nil
		}
		g.add(field(name))
	}
	return nil
}

func joined(items, rest string) string {
	switch {
	case items == "":
		return rest
	case rest == "":
		return items
	case strings.HasPrefix(rest, "."):
		return items + rest
	}
	return items + " | " + rest
}

// word returns the next part of the path, and whether it is the last part.
func (g *gjsonReader) word() (string, bool) {
	for i := 0; i < len(g.rest); i++ {
		switch g.rest[i] {
		case '\\':
			i++
		case '.', '|':
			w := g.rest[:i]
			g.rest = g.rest[i+1:]
			return w, false
		}
	}
	w := g.rest
	g.rest = ""
	return w, true
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// query reads a part such as #(k=="v") or #(k=="v")#.
func (g *gjsonReader) query() error {
	end := closing(g.rest[1:], '(', ')')
	if end < 0 {
		return fmt.Errorf("a query is not closed")
	}
	inner := g.rest[2 : end+1]
	g.rest = g.rest[end+2:]
	all := strings.HasPrefix(g.rest, "#")
	g.rest = strings.TrimPrefix(strings.TrimPrefix(g.rest, "#"), ".")
	condition, err := gjsonCondition(inner)
	if err != nil {
		return err
	}
	if all {
		g.items = jqOr(joined(g.items, g.jq)) + "[] | select((" + condition + ")?)"
		g.jq = ""
		if g.rest == "#" {
			return errors.New("cton has no equivalent of the number of matches: write the jq expression by hand")
		}
		g.rest = strings.TrimPrefix(g.rest, "#.")
		return nil
	}
	found := "[" + jqOr(g.jq) + "[] | select((" + condition + ")?)]"
	g.jq, g.exists = "("+found+"[0])", found+" != []"
	return nil
}

// operatorAt returns the index of the first operator that is neither in quotes nor in a nested query, or -1.
func operatorAt(condition, operator string) int {
	depth := 0
	for i, c := range unquoted(condition) {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && strings.HasPrefix(condition[i:], operator):
			return i
		}
	}
	return -1
}

// gjsonCondition returns a jq condition for what is in the parentheses of a query. This condition gives nothing or fails for an item that
// has no value at the path of the query.
func gjsonCondition(inner string) (string, error) {
	if strings.TrimSpace(inner) == "" {
		return "", errors.New("a query without a condition finds nothing")
	}
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<", "=", "!%", "%"} {
		i := operatorAt(inner, op)
		if i < 0 {
			continue
		}
		left, right := strings.TrimSpace(inner[:i]), strings.TrimSpace(inner[i+len(op):])
		l := "."
		if left != "" {
			items, rest, err := gjson(left)
			if err != nil || items != "" {
				return "", errors.New("cton has no equivalent of a query over several values: write the jq expression by hand")
			}
			l = rest
		}
		if len(right) > 1 && right[0] == '"' {
			s, err := unquote(right)
			if err != nil {
				return "", err
			}
			if strings.HasSuffix(op, "%") {
				match := l + " | strings | test(" + quote(gjsonPattern(s)) + ")" // gjson compares texts only
				if op == "!%" {
					match += " | not"
				}
				return match, nil
			}
			return gjsonComparison(l, op, s)
		}
		_, err := strconv.ParseFloat(right, 64)
		if strings.HasSuffix(op, "%") || err != nil && right != "true" && right != "false" && right != "null" {
			return "", fmt.Errorf("want a text in quotes or a number in a query")
		}
		return gjsonComparison(l, op, right)
	}
	g, err := readGJSON(inner)
	if err != nil || g.items != "" {
		return "", errors.New("cton has no equivalent of a query over several values: write the jq expression by hand")
	}
	return cmp.Or(g.exists, jqOr(g.jq)+" != null"), nil
}

// gjsonComparison returns a jq condition that compares the value of the expression "left" with a text. As in gjson, the type of the value
// says how: a text is compared with the text itself, and a number with the number in it. Null, a list, an object and a missing value meet
// no condition. Unlike gjson, == and != do not take a text that is no number as 0.
func gjsonComparison(left, op, text string) (string, error) {
	if op == "=" {
		op = "=="
	}
	n, err := strconv.ParseFloat(text, 64)
	infinite := math.IsInf(n, 0) || math.IsNaN(n)
	number, isNumber := strconv.FormatFloat(n, 'g', -1, 64), err == nil && !infinite
	equal := []string{quote(text)} // the values that the text stands for
	switch {
	case text == "true" || text == "false":
		equal = []string{text, quote(text)}
	case isNumber:
		equal = []string{number, quote(text)}
	}
	switch {
	case op == "==" && len(equal) == 1:
		return left + " == " + equal[0], nil
	case op == "==":
		return left + " | . == " + strings.Join(equal, " or . == "), nil
	case op == "!=":
		return left + " | (strings, numbers, booleans) | . != " + strings.Join(equal, " and . != "), nil
	case infinite:
		return "", errors.New("cton has no equivalent of a query with an infinite number: write the jq expression by hand")
	}
	condition := left + " | (strings | . " + op + " " + quote(text) + "), (numbers | . " + op + " " + number + ")"
	switch { // true is greater than false, and gjson compares it with nothing else
	case op == ">=" || op == ">" && text == "false":
		condition += ", (booleans | .)"
	case op == "<=" || op == "<" && text == "true":
		condition += ", (booleans | not)"
	}
	return condition, nil
}

// gjsonPattern converts a pattern of gjson to a regular expression. Its only wildcards are * and ?.
func gjsonPattern(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString(".")
		default:
			if c == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	return "(?s)^" + b.String() + "$"
}

// object reads a part such as {x:a.b,c}.
func (g *gjsonReader) object() error {
	end := closing(g.rest, '{', '}')
	if end < 0 {
		return fmt.Errorf("a brace is not closed")
	}
	inner := g.rest[1:end]
	g.rest = strings.TrimPrefix(g.rest[end+1:], ".")
	var parts []string
	for part := range strings.SplitSeq(inner, ",") {
		name, path, named := strings.Cut(part, ":")
		if !named {
			name, path = "", part
		}
		items, rest, err := gjson(path)
		if err != nil || items != "" {
			return errors.New("cton has no equivalent of a member of an object: write the jq expression by hand")
		}
		if name == "" {
			name = path[strings.LastIndexByte(path, '.')+1:]
		}
		parts = append(parts, quote(strings.Trim(strings.TrimSpace(name), `"`))+": "+rest)
	}
	if g.jq != "" {
		g.jq += " | "
	}
	g.jq = "(" + g.jq + "{" + strings.Join(parts, ", ") + "})"
	return nil
}
