package starlark

import (
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// Bounds on patterns.
const (
	maxPatterns = 256       // of the cache
	maxPattern  = 4096      // bytes of a pattern
	maxSubject  = 64 << 20  // bytes of the text
	maxFound    = 1_000_000 // matches of one findall
)

// patterns is a cache of the regular expressions (RE2) that a script has used.
type patterns struct{ compiled map[string]*regexp.Regexp }

// module returns the module re, with the functions of Python's.
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

// compile returns the compiled pattern. It checks that the text is short enough, too.
func (p *patterns) compile(pattern, text string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("re: the pattern exceeds %d bytes", maxPattern)
	}
	if len(text) > maxSubject {
		return nil, fmt.Errorf("re: the text exceeds %d MiB", maxSubject>>20)
	}
	if re := p.compiled[pattern]; re != nil {
		return re, nil
	}
	pattern = strings.Clone(pattern) // a string of a document keeps all of the document in memory
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("re: %w", err)
	}
	if p.compiled == nil || len(p.compiled) >= maxPatterns {
		p.compiled = map[string]*regexp.Regexp{}
	}
	p.compiled[pattern] = re
	return re, nil
}

// groups returns the match and its groups as a tuple, or None.
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

// findall returns the matches as Python does: of a pattern with one group that group, with several groups tuples of them.
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

// sub is re.sub(pattern, replacement, text). In the replacement, \1 is the first group.
func (p *patterns) sub(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern, replacement, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "replacement", &replacement, "text", &text); err != nil {
		return nil, err
	}
	re, err := p.compile(pattern, text)
	if err != nil {
		return nil, err
	}
	if (len(text)+1)*(len(replacement)+1) > sandbox.MaxString && len(text)*(len(replacement)+1) > sandbox.MaxString {
		return nil, sandbox.ErrString
	}
	template := regexp.MustCompile(`\\(\d)`).ReplaceAllString(strings.ReplaceAll(replacement, "$", "$$"), "$${${1}}")
	return starlark.String(re.ReplaceAllString(text, template)), nil
}
