package starlark

import (
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// Bounds on patterns.
const (
	maxPatterns = 256       // compiled ones that are kept
	maxPattern  = 4096      // bytes of one
	maxSubject  = 64 << 20  // bytes of a text that is searched
	maxFound    = 1_000_000 // matches of one findall
)

// patterns are the regular expressions (RE2) that a script has used, compiled.
type patterns struct{ known map[string]*regexp.Regexp }

func (p *patterns) module() *starlarkstruct.Module {
	members := starlark.StringDict{}
	for name, f := range map[string]func(*regexp.Regexp, string) starlark.Value{
		"search": func(re *regexp.Regexp, text string) starlark.Value { return groups(re.FindStringSubmatch(text)) },
		"match": func(re *regexp.Regexp, text string) starlark.Value {
			if at := re.FindStringIndex(text); at == nil || at[0] != 0 {
				return starlark.None
			}
			return groups(re.FindStringSubmatch(text))
		},
		"findall": findall,
	} {
		members[name] = starlark.NewBuiltin("re."+name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var pattern, text string
			if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "text", &text); err != nil {
				return nil, err
			}
			re, err := p.compile(pattern, text)
			if err != nil {
				return nil, err
			}
			return f(re, text), nil
		})
	}
	members["sub"] = starlark.NewBuiltin("re.sub", p.sub)
	return &starlarkstruct.Module{Name: "re", Members: members}
}

func (p *patterns) compile(pattern, text string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern || len(text) > maxSubject {
		return nil, fmt.Errorf("re: the pattern or the text is too long")
	}
	if re := p.known[pattern]; re != nil {
		return re, nil
	}
	pattern = strings.Clone(pattern) // a text of a document would hold all of it
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("re: %w", err)
	}
	if p.known == nil || len(p.known) >= maxPatterns {
		p.known = map[string]*regexp.Regexp{}
	}
	p.known[pattern] = re
	return re, nil
}

// groups are the whole match and its groups, None without a match.
func groups(found []string) starlark.Value {
	if found == nil {
		return starlark.None
	}
	list := make(starlark.Tuple, len(found))
	for i, text := range found {
		list[i] = starlark.String(text)
	}
	return list
}

// findall is as in Python: the matches, or their only group, or tuples of their groups.
func findall(re *regexp.Regexp, text string) starlark.Value {
	list := []starlark.Value{}
	for _, found := range re.FindAllStringSubmatch(text, maxFound) {
		switch len(found) {
		case 1:
			list = append(list, starlark.String(found[0]))
		case 2:
			list = append(list, starlark.String(found[1]))
		default:
			list = append(list, groups(found[1:]))
		}
	}
	return starlark.NewList(list)
}

// sub is re.sub(pattern, replacement, text), where \1 in the replacement stands for a group.
func (p *patterns) sub(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern, replacement, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "replacement", &replacement, "text", &text); err != nil {
		return nil, err
	}
	re, err := p.compile(pattern, text)
	if err != nil {
		return nil, err
	}
	if (len(text)+1)*(len(replacement)+1) > maxBuilt && len(text)*(len(replacement)+1) > maxBuilt {
		return nil, errBuilt
	}
	template := regexp.MustCompile(`\\(\d)`).ReplaceAllString(strings.ReplaceAll(replacement, "$", "$$"), "$${${1}}")
	return starlark.String(re.ReplaceAllString(text, template)), nil
}
