package jq

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/pattern"
	agenttext "github.com/collectington/collectington/agent/text"
)

// The limits for hints that name members of the document. There can be many such members, and their names can be long.
const (
	maxNamed  = 8  // number of members
	maxMember = 40 // length of a name in bytes
)

// remedy creates a hint on how to correct an expression whose result cannot be used. Its text is only made for the first problem of
// each reason.
type remedy struct {
	expr *Expr
	v    value      // the result of the expression
	give remedyKind // what was wanted
	list string     // the setting that makes the result a list also if there is one item; "" = it always is one
}

// remedyKind is the kind of value that was wanted.
type remedyKind uint8

const (
	remedyNumber remedyKind = iota
	remedyLabel
	remedyMissing
)

// text returns a hint with an expression that would work, or "" if none is known.
func (r *remedy) text(items *Expr, in *item) string {
	switch {
	case r == nil:
		return ""
	case r.give == remedyNumber:
		return numberRemedy(r.expr.text, items, r.v.jq(), r.list)
	case r.give == remedyLabel:
		return labelRemedy(r.expr.text, r.v.jq())
	}
	return missingRemedy(r.expr.text, in.forJQ())
}

// failed returns err, the error of an expression. If it is a common error, a hint is added.
func failed(err error) error {
	rest, isTime := strings.CutPrefix(err.Error(), `strptime("%Y-%m-%dT%H:%M:%S%z") cannot be applied to `)
	if !isTime {
		return err
	}
	got, _, _ := strings.Cut(rest, `: failed to parse `)
	return fmt.Errorf("fromdate cannot be applied to %s: write timestamp, which reads fractions of seconds and offsets too", got)
}

// numberRemedy returns a hint on how to get a number from a value that is not a number, or "" if it knows none. The parameter "expression"
// is the text of the value's expression, and "items" is the expression of the metric's items. The parameter "list" is the setting that makes
// the value a list even if it has one item, or "".
func numberRemedy(expression string, items *Expr, v any, list string) string {
	if len(expression) > maxMember*2 {
		return ""
	}
	switch v := v.(type) {
	case []any:
		each := expression + "[]"
		if items != nil {
			each = items.text + " | " + each
		}
		if list != "" {
			list = "; set " + list + " too, for one item is a list only then"
		}
		return fmt.Sprintf("; for a reading of each item write items: %s, and for their number %s%s", each, pipeTo(expression, "length"), list)
	case map[string]any:
		return membersRemedy(expression, v)
	case string:
		return textRemedy(expression, v)
	}
	return ""
}

var (
	numberInText = pattern.OnUse(`(?:^|[\s(=:<>~$€£])[-+]?[0-9]`) // a text with a number, but not a code such as E12
	quantityText = pattern.OnUse(`^[-+]?[0-9]+(?:\.[0-9]+)? ?(?:[kKMGTPE]i?(B|bps|B/s|Hz|Wh?)|([A-Za-z%°/]{1,12}))$`)
	prefixText   = pattern.OnUse(`^[-+]?[0-9]+(?:\.[0-9]+)? ?([kKMGTPE]i?)$`)
)

// textRemedy returns a hint for a text that is a time or contains a number.
func textRemedy(expression, text string) string {
	_, err := jq.ParseTime(text)
	switch {
	case err == nil:
		return fmt.Sprintf("; it is a time: %s gives its Unix seconds, and now - (%s) its age", pipeTo(expression, "timestamp"), pipeTo(expression, "timestamp"))
	case strings.Contains(err.Error(), "write "):
		_, how, _ := strings.Cut(err.Error(), "write ")
		return "; it is a time: write " + pipeTo(expression, how)
	case isDuration(text):
		return "; for its seconds write " + pipeTo(expression, "duration")
	case prefixText().MatchString(text):
		prefix := prefixText().FindStringSubmatch(text)[1]
		return fmt.Sprintf("; if %s is a prefix, such as of thousands, write %s; if it is the unit, %s", prefix,
			pipeTo(expression, `quantity("")`), pipeTo(expression, fmt.Sprintf("quantity(%q)", prefix)))
	case quantityText().MatchString(text):
		unit := quantityText().FindStringSubmatch(text)
		return "; for the number in it write " + pipeTo(expression, fmt.Sprintf("quantity(%q)", unit[1]+unit[2]))
	case numberInText().MatchString(text):
		return inTextRemedy(expression, text)
	case text == "" || slices.Contains([]string{"nan", "null", "none", "inf", "+inf", "-inf", "n/a", "-", "unknown"}, strings.ToLower(text)):
		return ""
	}
	return "; to give texts numbers set map and default"
}

// isDuration reports whether a text is probably a duration that jq's function duration can read. In "5 m" and "1 M", the unit may be metres
// or millions, so these texts are not taken for minutes.
func isDuration(text string) bool {
	_, err := jq.ParseDuration(text)
	return err == nil && strings.Trim(strings.ToLower(text), "0123456789.+- ") != "m"
}

func pipeTo(expression, next string) string {
	if expression == "." {
		return next
	}
	return expression + " | " + next
}

// membersRemedy returns a hint with the expressions for the members of an object.
func membersRemedy(expression string, object map[string]any) string {
	names := named(object)
	if names == "" {
		return "; the object is empty"
	}
	for _, usual := range []string{"value", "name", "id"} {
		if _, ok := object[usual]; ok {
			return fmt.Sprintf("; it has %s: write such as %s", names, memberOf(expression, usual))
		}
	}
	return fmt.Sprintf("; it has %s: write such as %s", names, memberOf(expression, slices.Min(slices.Collect(maps.Keys(object)))))
}

var plainName = pattern.OnUse(`^[A-Za-z_][A-Za-z0-9_]*$`)

func memberOf(expression, name string) string {
	if len(name) > maxMember {
		name = strings.ToValidUTF8(name[:maxMember], "") + "…"
	}
	if expression == "." {
		expression = ""
	}
	if plainName().MatchString(name) {
		return expression + "." + name
	}
	if expression == "" {
		expression = "."
	}
	return fmt.Sprintf("%s[%q]", expression, name)
}

// named returns the names of an object's members, at most maxNamed.
func named(object map[string]any) string { return listed(slices.Sorted(maps.Keys(object))) }

// listed returns names as a list, at most maxNamed of them.
func listed(all []string) string {
	names := slices.Clone(all)
	for i := range names[:min(len(names), maxNamed)] {
		names[i] = agenttext.Cut(names[i], maxMember)
	}
	return agenttext.List(names, maxNamed)
}

// missingRemedy returns a hint for a member that does not exist: the names of the members that exist at this place. If the member exists
// and is null, the hint quotes the text of the item's member "error"; without such a text, the result is "".
func missingRemedy(expression string, item any) string {
	query, _, err := jq.Compile(expression)
	if err != nil {
		return ""
	}
	path, each := jq.Path(query)
	if each || len(path) == 0 {
		return ""
	}
	at, whole := "", item
	for i, name := range path {
		object, ok := item.(map[string]any)
		if !ok {
			return ifError(whole)
		}
		next, there := object[name]
		if !there {
			if within := holder(object, path[i:]); within != "" {
				meant := memberOf(at, within)
				for _, next := range path[i:] {
					meant = memberOf(meant, next)
				}
				return fmt.Sprintf("; %s has it: write %s", memberOf(at, within), meant)
			}
			if hint := thereAre(at, slices.Sorted(maps.Keys(object))); hint != "" {
				return hint
			}
			return fmt.Sprintf("; %s is empty", cmp.Or(at, "."))
		}
		item, at = next, memberOf(at, name)
	}
	return ifError(whole)
}

// holder looks for a value at the path inside each member of an object. If exactly one member has such a value, holder returns the name of
// this member, and otherwise "". For an item of for_each, the result is "body".
func holder(object map[string]any, path []string) (found string) {
	for name, member := range object {
		for _, next := range path {
			of, _ := member.(map[string]any)
			member = of[next]
		}
		switch {
		case member == nil:
		case found != "":
			return ""
		default:
			found = name
		}
	}
	return found
}

// thereAre returns a hint with the names of the members of the object at a path, or "" if there are none.
func thereAre(at string, names []string) string {
	verb := "are"
	switch len(names) {
	case 0:
		return ""
	case 1:
		verb = "is"
	}
	return fmt.Sprintf("; at %s there %s %s", cmp.Or(at, "."), verb, listed(names))
}

// ifError returns a hint with the member .error of an item, since an error is probably the reason why another member is null.
func ifError(item any) string {
	object, _ := item.(map[string]any)
	if text, ok := object["error"].(string); ok && text != "" {
		return "; .error is " + agenttext.Cut(strconv.Quote(text), maxText)
	}
	return ""
}

// labelRemedy returns a hint on how to get a label from a list or an object.
func labelRemedy(expression string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		return membersRemedy(expression, v)
	case []any:
		return "; for its items as one text write " + pipeTo(expression, `join(",")`)
	}
	return ""
}
