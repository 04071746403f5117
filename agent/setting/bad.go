// Package setting holds the types that settings are written in (durations, sizes, addresses, secrets) and the error that
// names a setting. It knows nothing of files: the reader of a file finds the line from the name.
package setting

import (
	"errors"
	"fmt"
)

// Problem is an error about one setting. Path names it from where the value is validated, with dots between mappings and
// numbers for list items: "basic_auth.password", "scopes.0". An empty path means the validated value as a whole.
type Problem struct {
	Path string
	Text string
}

func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Bad says what is wrong with the setting at path and what is wanted instead, in one line.
func Bad(path, format string, args ...any) error {
	return &Problem{Path: path, Text: fmt.Sprintf(format, args...)}
}

// Under puts prefix before the path of every problem that err holds; other errors become problems of prefix itself.
func Under(prefix string, err error) error {
	var all []error
	for _, p := range Problems(err) {
		path := prefix
		if p.Path != "" {
			path += "." + p.Path
		}
		all = append(all, &Problem{Path: path, Text: p.Text})
	}
	return errors.Join(all...)
}

// Problems takes a joined error apart, in order. An error that names no setting comes back with an empty path.
func Problems(err error) []*Problem {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Problem
		for _, e := range many.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return []*Problem{p}
	}
	return []*Problem{{Text: err.Error()}}
}
