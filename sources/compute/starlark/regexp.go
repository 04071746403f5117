package starlark

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// The limits for patterns.
const (
	maxPatterns = 256       // number of patterns in the cache
	maxSubject  = 64 << 20  // length of the text in bytes
	maxFound    = 1_000_000 // number of matches that findall returns
)

// patterns is a cache of the regular expressions (RE2) that a script has used.
type patterns struct {
	compiled map[string]*pattern.Pattern
}

// module returns the module re, whose functions are those of Python's module.
func (p *patterns) module() *starlarkstruct.Module {
	members := starlark.StringDict{}
	for name, f := range map[string]func(context.Context, *pattern.Pattern, string) (starlark.Value, error){
		"search": search, "match": match, "findall": findall,
	} {
		members[name] = starlark.NewBuiltin("re."+name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var expression, text string
			if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &expression, "text", &text); err != nil {
				return nil, err
			}
			re, err := p.compile(expression, text)
			if err != nil {
				return nil, err
			}
			ctx := sandbox.Context(thread)
			found, err := f(ctx, re, text)
			return found, ended(ctx, b, err)
		})
	}
	members["sub"] = starlark.NewBuiltin("re.sub", p.sub)
	return &starlarkstruct.Module{Name: "re", Members: members}
}

// ended returns err, which is the error of a search. If the search failed because the context has ended, it returns the cause of the end
// instead.
func ended(ctx context.Context, b *starlark.Builtin, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", b.Name(), context.Cause(ctx))
	}
	return err
}

// compile returns the compiled pattern. It also returns an error if the text to be searched is too long.
func (p *patterns) compile(expression, text string) (*pattern.Pattern, error) {
	if len(text) > maxSubject {
		return nil, fmt.Errorf("re: the text exceeds %d MiB", maxSubject>>20)
	}
	if re := p.compiled[expression]; re != nil {
		return re, nil
	}
	re, err := pattern.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("re: %w", err)
	}
	if p.compiled == nil || len(p.compiled) >= maxPatterns {
		p.compiled = map[string]*pattern.Pattern{}
	}
	p.compiled[strings.Clone(expression)] = re // cloned, since otherwise a string of a document would keep the whole document in memory
	return re, nil
}

func search(ctx context.Context, re *pattern.Pattern, text string) (starlark.Value, error) {
	found, err := re.Find(ctx, text)
	return groups(text, found), err
}

// match is like search, but it only finds a match at the beginning of the text.
func match(ctx context.Context, re *pattern.Pattern, text string) (starlark.Value, error) {
	found, err := re.Find(ctx, text)
	if err != nil || found == nil || found[0] != 0 {
		return starlark.None, err
	}
	return groups(text, found), nil
}

// groups returns a tuple of the match and its groups, or None if there is no match.
func groups(text string, found []int) starlark.Value {
	if found == nil {
		return starlark.None
	}
	list := make(starlark.Tuple, len(found)/2)
	for i := range list {
		list[i] = group(text, found, i)
	}
	return list
}

// group returns a group of a match, or "" if the group did not match.
func group(text string, found []int, i int) starlark.String {
	if found[2*i] < 0 {
		return ""
	}
	return starlark.String(text[found[2*i]:found[2*i+1]])
}

var errEnough = errors.New("enough matches")

// findall returns all matches as in Python: if the pattern has one group, a list of the groups; if it has several groups, a list of
// tuples.
func findall(ctx context.Context, re *pattern.Pattern, text string) (starlark.Value, error) {
	list := []starlark.Value{}
	err := re.Each(ctx, text, func(found []int) error {
		switch len(found) / 2 {
		case 1:
			list = append(list, group(text, found, 0))
		case 2:
			list = append(list, group(text, found, 1))
		default:
			list = append(list, groups(text, found[2:]))
		}
		if len(list) == maxFound {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return starlark.NewList(list), err
}

// sub is the function re.sub(pattern, replacement, text). In the replacement, \1 is the first group.
func (p *patterns) sub(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var expression, replacement, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &expression, "replacement", &replacement, "text", &text); err != nil {
		return nil, err
	}
	re, err := p.compile(expression, text)
	if err != nil {
		return nil, err
	}
	template := regexp.MustCompile(`\\(\d)`).ReplaceAllString(strings.ReplaceAll(replacement, "$", "$$"), "$${${1}}")
	ctx := sandbox.Context(thread)
	var out []byte
	end := 0
	err = re.Each(ctx, text, func(found []int) error {
		out = append(out, text[end:found[0]]...)
		out = re.Regexp().ExpandString(out, template, text, found)
		if end = found[1]; len(out) > sandbox.MaxString {
			return sandbox.ErrString
		}
		return nil
	})
	if err != nil {
		return nil, ended(ctx, b, err)
	}
	return starlark.String(append(out, text[end:]...)), nil
}
