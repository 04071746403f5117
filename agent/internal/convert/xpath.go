package convert

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

func hasKey(content []*yaml.Node, key string) bool {
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == key {
			return true
		}
	}
	return false
}

// xpathExpr is an XPath that was converted to jq.
type xpathExpr struct {
	jq       string
	absolute bool
	number   bool // inside number(…)
	text     bool // inside string(…)
	constant bool // jq is not an expression, but the text of a string in quotes
}

// parseXPath converts an XPath to jq. Only a part of XPath is supported.
func parseXPath(s string) (xpathExpr, error) {
	s = strings.TrimSpace(s)
	if len(s) > 4096 {
		return xpathExpr{}, fmt.Errorf("the path is longer than 4096 characters")
	}
	for _, f := range []string{"number", "string", "boolean"} {
		if strings.HasPrefix(s, f+"(") && closing(s[len(f):], '(', ')') == len(s)-len(f)-1 {
			x, err := parseXPath(s[len(f)+1 : len(s)-1])
			x.number, x.text = x.number || f == "number", x.text || f == "string"
			return x, err
		}
	}
	if len(s) > 1 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return xpathExpr{jq: s[1 : len(s)-1], constant: true}, nil
	}
	x := xpathExpr{absolute: strings.HasPrefix(s, "/")}
	rest := s
	for rest != "" {
		deep := strings.HasPrefix(rest, "//")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "/"), "/")
		m := regexp.MustCompile(`^(@?[A-Za-z_][\w.-]*|\*|\.\.?)((?:\[[^\]]*\])?)`).FindStringSubmatch(rest)
		if m == nil || m[1] == ".." {
			return x, errors.New("cton has no equivalent of this XPath: write the jq expression by hand")
		}
		rest = rest[len(m[0]):]
		if err := x.step(m[1], m[2], deep); err != nil {
			return x, err
		}
		if rest != "" && rest[0] != '/' {
			return x, errors.New("cton has no equivalent of this XPath: write the jq expression by hand")
		}
	}
	x.jq = jqOr(x.jq)
	return x, nil
}

// step adds one step of a path.
func (x *xpathExpr) step(name, predicate string, deep bool) error {
	index := ""
	if predicate != "" {
		inner := strings.TrimSpace(predicate[1 : len(predicate)-1])
		if n, err := strconv.Atoi(inner); err == nil && n > 0 {
			index = strconv.Itoa(n - 1)
		} else if m := regexp.MustCompile(`^@?([A-Za-z_][\w.-]*)\s*=\s*(?:'([^']*)'|"([^"]*)"|(-?[0-9.]+))$`).FindStringSubmatch(inner); m != nil {
			value := m[4]
			if value == "" {
				value = quote(m[2] + m[3])
			}
			predicate = " | select(" + field(m[1]) + " == " + value + ")"
		} else {
			return errors.New("cton has no equivalent of this condition of the XPath: write the jq expression by hand")
		}
	}
	switch {
	case deep:
		x.jq = strings.TrimPrefix(x.jq+" | ", " | ") + ".. | objects | select(has(" + quote(name) + ")) | " + field(name)
	case name == ".":
	case name == "*" && index != "":
		x.dot("[" + index + "]")
		return nil
	case name == "*":
		x.dot("[]")
	default:
		name = strings.TrimPrefix(name, "@")
		if strings.Contains(x.jq, " | select(") && strings.HasSuffix(x.jq, ")") {
			x.jq += " | " + field(name)
		} else {
			x.jq += field(name)
		}
	}
	if index != "" {
		x.jq += "[" + index + "]"
	} else if predicate != "" {
		if name != "*" {
			x.dot("[]")
		}
		x.jq += predicate
	}
	return nil
}

func (x *xpathExpr) dot(access string) {
	if x.jq == "" {
		access = "." + access
	}
	x.jq += access
}

// xpath returns the block for a section of the data format xpath_json.
func (r *reading) xpath(n *node) []*block {
	if r.job.kind == "http" && !hasKey(r.job.settings.Content, "format") {
		r.set("json")
	}
	b := &block{line: n.line}
	if name := n.str("metric_name"); name != "" {
		x, err := parseXPath(name)
		if err != nil || !x.constant {
			r.lose(n.get("metric_name").line, "metric_name", "the name is data, which has no counterpart")
		} else {
			b.measurement = x.jq
		}
	}
	var prefix xpathPrefix
	if s := n.str("metric_selection"); s != "" && s != "/" {
		x, err := parseXPath(s)
		if err != nil {
			r.lose(n.get("metric_selection").line, "metric_selection", "%v", err)
			return nil
		}
		b.items, b.many = x.jq, true
		if fromRoot(n) {
			b.items, prefix = ". as $root | "+x.jq+" | {root: $root, item: .}", xpathPrefix{".item", ".root"}
		}
	}
	r.xpathMembers(b, n, prefix)
	for _, key := range []string{"timestamp", "field_selection", "tag_selection", "fields_bytes_as_hex", "fields_bytes_as_base64"} {
		if n.has(key) {
			r.lose(n.get(key).line, key, "there is no counterpart")
		}
	}
	return []*block{b}
}

// fromRoot reports whether the path of a tag or field starts at the root of the answer.
func fromRoot(n *node) bool {
	return slices.ContainsFunc([]string{"tags", "fields", "fields_int"}, func(key string) bool {
		return slices.ContainsFunc(n.pairs(key), func(m member) bool {
			x, err := parseXPath(m.value.str())
			return err == nil && x.absolute
		})
	})
}

// xpathPrefix has the jq expressions that relative and absolute paths begin with.
type xpathPrefix struct{ relative, absolute string }

func (p xpathPrefix) jq(x xpathExpr) string {
	to := p.relative
	if x.absolute {
		to = p.absolute
	}
	switch {
	case to == "":
		return x.jq
	case x.jq == ".":
		return to
	case strings.HasPrefix(x.jq, ".."):
		return to + " | " + x.jq
	}
	return to + x.jq
}

// xpathMembers adds the tags and fields of a section.
func (r *reading) xpathMembers(b *block, n *node, prefix xpathPrefix) {
	for _, m := range n.pairs("tags") {
		x, err := parseXPath(m.value.str())
		switch {
		case err != nil:
			r.lose(m.line, m.key, "the tag is left out: %v", err)
		case x.constant:
			b.tags = append(b.tags, constantTag(m.key, x.jq, m.line, m.key))
		default:
			b.tags = append(b.tags, tagOut{name: m.key, value: present(prefix.jq(x))})
		}
	}
	for _, key := range []string{"fields", "fields_int"} {
		for _, m := range n.pairs(key) {
			x, err := parseXPath(m.value.str())
			if err != nil || x.constant {
				r.lose(m.line, m.key, "the field is left out: its XPath has no counterpart")
				continue
			}
			kind, path := fieldText, prefix.jq(x)
			switch {
			case key == "fields_int":
				kind, path = fieldTyped, truncated(path)
			case x.number:
				kind = fieldTyped
			case r.n.is("xpath_native_types") && !x.text:
				kind = fieldNative
			}
			b.fields = append(b.fields, fieldOut{name: m.key, path: path, kind: kind})
		}
	}
}
