package infer

import (
	"slices"
	"strings"
	"unicode"

	"github.com/collectington/collectington/agent/pattern"
)

var (
	identifier = pattern.OnUse(`^[A-Za-z_][A-Za-z0-9_]*$`)
	ordinal    = pattern.OnUse(`^[0-9]{1,2}[.)] `) // as in "1. open"
	code       = pattern.OnUse(`^[A-Z][A-Z0-9]{1,5}$`)
)

// isIdentifier reports whether a key can be written as .key in jq.
func isIdentifier(key string) bool { return identifier().MatchString(key) }

// isCode reports whether a key looks like EUR or NO1.
func isCode(key string) bool { return code().MatchString(key) }

// isKeyword reports whether a key is a keyword of jq. Some versions of jq require quotes around a keyword after a dot.
func isKeyword(key string) bool {
	return slices.Contains([]string{
		"and", "or", "not", "if", "then", "else", "elif", "end", "as", "def", "reduce", "foreach", "try", "catch", "label", "import", "include", "__loc__",
	}, key)
}

// member returns the jq path of a member of the value at path.
func member(path, key string) string {
	if isIdentifier(key) && !isKeyword(key) {
		return path + "." + key
	}
	if path == "" {
		path = "."
	}
	return path + "[" + quote(key) + "]"
}

// quote returns a text as a string of jq and JSON.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u00`)
			b.WriteByte("0123456789abcdef"[r>>4])
			b.WriteByte("0123456789abcdef"[r&15])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// units is a replacer that writes units such as kWh in lower case, so that the function "words" does not split them at their capitals.
var units = strings.NewReplacer("kWh", "kwh", "MWh", "mwh", "kW", "kw", "dBm", "dbm", "mAh", "mah", "kB", "kb", "GraphQL", "Graphql", "IPv4", "ipv4", "IPv6", "ipv6")

// words returns the words of a key in lower case. For memoryUsedMB, memory-used_mb and "Memory used (MB)" these are memory,
// used, mb.
func words(key string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	runes := []rune(units.Replace(ordinal().ReplaceAllString(key, "")))
	for i, r := range runes {
		if r == '%' {
			flush()
			word = []rune("percent")
			flush()
			continue
		}
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			lowerBefore := unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1])
			lowerAfter := unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) && !isPluralS(runes, i+1)
			if lowerBefore || lowerAfter {
				flush()
			}
		}
		word = append(word, r)
	}
	flush()
	return out
}

// isPluralS reports whether the letter at i is the plural s after capitals, as in URLs.
func isPluralS(runes []rune, i int) bool {
	return runes[i] == 's' && (i+1 == len(runes) || !unicode.IsLower(runes[i+1]))
}

// has returns true if at least one of the words is in the list.
func has(words []string, list ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
}

// lastWord returns the last word of a key, or "" if it has none.
func lastWord(key string) string {
	if w := words(key); len(w) > 0 {
		return w[len(w)-1]
	}
	return ""
}

// singular returns the singular of an English word. It looks only at the end of the word.
func singular(word string) string {
	if one, ok := irregular(word); ok {
		return one
	}
	switch {
	case strings.HasSuffix(word, "series"), len(word) < 4, strings.HasSuffix(word, "ss"), strings.HasSuffix(word, "us"), strings.HasSuffix(word, "is"), word == "news":
		return word
	case strings.HasSuffix(word, "statuses"):
		return strings.TrimSuffix(word, "es")
	case strings.HasSuffix(word, "ies"):
		return word[:len(word)-3] + "y"
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "xes"), strings.HasSuffix(word, "ches"), strings.HasSuffix(word, "shes"):
		return word[:len(word)-2]
	case strings.HasSuffix(word, "s"):
		return word[:len(word)-1]
	}
	return word
}

// irregular returns the singular of an irregular plural, such as people, and whether it knows the plural.
func irregular(word string) (string, bool) {
	for _, pair := range irregulars() {
		if word == pair[1] {
			return pair[0], true
		}
	}
	return word, false
}

func irregulars() [][2]string {
	return [][2]string{{"person", "people"}, {"index", "indices"}, {"vertex", "vertices"}, {"matrix", "matrices"}, {"child", "children"}}
}

// isPlural reports whether the last word of a key is a plural, so that the keys below it can be names. Examples are rates,
// counts and by_status.
func isPlural(key string) bool {
	last := lastWord(key)
	return last != singular(last) && !has([]string{last}, "stats", "statistics", "metrics", "details", "settings", "totals", "params", "properties", "attributes", "fields", "values", "units", "limits")
}

// join joins words to a name that Prometheus accepts. It leaves out a word that is equal to the previous word.
func join(parts ...string) string {
	var out []string
	for _, part := range parts {
		for _, w := range words(part) {
			if len(out) == 0 || out[len(out)-1] != w {
				out = append(out, w)
			}
		}
	}
	name := strings.Join(out, "_")
	if name == "" {
		return "value"
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "n" + name
	}
	if len(name) > maxName {
		name = strings.Trim(name[len(name)-maxName:], "_")
		return join(name)
	}
	return name
}

// maxName is the maximum length of a name in bytes.
const maxName = 80

// isGeneric reports whether a key does not say what it contains.
func isGeneric(key string) bool {
	return has([]string{strings.ToLower(key)}, "data", "items", "item", "results", "result", "records", "record", "content", "rows", "row", "list",
		"entries", "entry", "edges", "edge", "nodes", "node", "response", "objects", "object", "_embedded", "embedded", "elements", "element", "payload", "hits", "body", "output",
		"attributes", "properties", "fields", "values", "value", "collection", "viewer", "page", "pages", "docs", "documents", "metadata", "meta", "root", "all", "")
}
