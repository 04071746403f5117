package http

import (
	"net/http"
	"slices"
	"strings"
)

// nextLink returns the target of the first link with the relation next (RFC 8288 section 3), "" if there is none. It ignores links
// with an anchor, which are links of another resource.
func nextLink(header http.Header) string {
	for _, rest := range header["Link"] {
		for {
			_, after, found := strings.Cut(rest, "<")
			target, params, closed := strings.Cut(after, ">")
			if !found || !closed {
				break
			}
			var next bool
			if next, rest = isNext(params); next {
				return strings.TrimSpace(target)
			}
		}
	}
	return ""
}

// isNext parses a link's parameters up to the comma that ends the link. If there are several rel parameters, it uses the first.
func isNext(text string) (next bool, rest string) {
	rel, anchored := "", false
	for {
		text = strings.TrimLeft(text, " \t;")
		if text == "" || text[0] == ',' {
			relations := strings.Fields(strings.ToLower(rel))
			return slices.Contains(relations, "next") && !anchored, text
		}
		var name, value string
		name, value, text = parameterOf(text)
		switch {
		case strings.EqualFold(name, "rel") && rel == "":
			rel = value
		case strings.EqualFold(name, "anchor"):
			anchored = true
		}
	}
}

// parameterOf parses name=value or name="value" (RFC 8288 appendix B.3).
func parameterOf(text string) (name, value, rest string) {
	end := strings.IndexAny(text, "=;,")
	if end < 0 {
		return text, "", ""
	}
	name, rest = strings.TrimSpace(text[:end]), text[end:]
	if rest[0] != '=' {
		return name, "", rest
	}
	rest = strings.TrimLeft(rest[1:], " \t")
	if quoted, is := strings.CutPrefix(rest, `"`); is {
		value, rest = unquote(quoted)
		return name, value, rest
	}
	if end = strings.IndexAny(rest, ";,"); end < 0 {
		end = len(rest)
	}
	return name, strings.TrimSpace(rest[:end]), rest[end:]
}

// unquote parses a quoted string (RFC 9110 section 5.6.4) after its opening quote.
func unquote(text string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
