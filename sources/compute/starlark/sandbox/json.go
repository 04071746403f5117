package sandbox

import (
	"fmt"
	"maps"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// jsonShape describes the values in a JSON text.
type jsonShape struct {
	values int // approximate number of values
	depth  int // levels of nesting
	digits int // digits of the longest number
}

// shapeOf returns the shape of a JSON text, which may be invalid.
func shapeOf(text string) (s jsonShape) {
	depth, digits := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			s.values++
			depth++
			s.depth = max(s.depth, depth)
		case ']', '}':
			depth--
		case ',', ':':
			s.values++
		default:
			if c >= '0' && c <= '9' {
				digits++
				s.digits = max(s.digits, digits)
				continue
			}
		}
		digits = 0
	}
	return s
}

func (s jsonShape) check() error {
	switch {
	case s.depth > maxDepth:
		return errDepth
	case s.values > maxItems:
		return errJSON
	case s.digits > maxDigits:
		return errDigits
	}
	return nil
}

// boundedJSON returns the module json with functions that limit the size of their results.
func boundedJSON(m *starlarkstruct.Module) *starlarkstruct.Module {
	members := maps.Clone(m.Members)
	for name, check := range map[string]func(starlark.Tuple, []starlark.Tuple) error{
		"encode":        func(args starlark.Tuple, _ []starlark.Tuple) error { return checkSizes(args) },
		"encode_indent": checkEncodeIndent,
		"decode":        checkDecode,
		"indent":        checkIndent,
	} {
		function := m.Members[name]
		members[name] = starlark.NewBuiltin("json."+name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := check(args, kwargs); err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
			return starlark.Call(thread, function, args, kwargs)
		})
	}
	return &starlarkstruct.Module{Name: m.Name, Members: members}
}

func checkDecode(args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) > 0 {
		if text, ok := args[0].(starlark.String); ok {
			return shapeOf(string(text)).check()
		}
	}
	return nil
}

// checkIndent limits the size of the result of json.indent. In the result, each value has its own line, which begins with an indent
// for each level.
func checkIndent(args starlark.Tuple, kwargs []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	text, ok := args[0].(starlark.String)
	if !ok {
		return nil
	}
	shape := shapeOf(string(text))
	if err := shape.check(); err != nil {
		return err
	}
	return checkLines(len(text), shape, kwargs)
}

// checkEncodeIndent limits the size of the result of json.encode_indent.
func checkEncodeIndent(args starlark.Tuple, kwargs []starlark.Tuple) error {
	if err := checkSizes(args); err != nil {
		return err
	}
	if len(args) != 1 {
		return nil // the function itself reports the error
	}
	text, err := EncodeJSON(args[0])
	if err != nil {
		return nil // the function itself reports the error
	}
	return checkLines(len(text), shapeOf(text), kwargs)
}

func checkLines(size int, shape jsonShape, kwargs []starlark.Tuple) error {
	line := 1 + shape.depth // one tab for each level, unless indent is set
	for _, kv := range kwargs {
		if text, ok := kv[1].(starlark.String); ok {
			line += len(text) * (1 + shape.depth)
		}
	}
	if line > MaxString || size+2*(shape.values+1)*line > MaxString {
		return ErrString
	}
	return nil
}
