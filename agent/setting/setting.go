// Package setting holds the types of settings: [Duration], [Bytes], [URL], [Secret] and [Text]. It also holds the error
// that names a setting, and the [SecretStore] that reads secrets and removes them from text.
//
// A plug-in's Config is a struct of such types with yaml tags. Each type promises:
//
//   - UnmarshalText accepts only valid values. Its error says in one line what is wanted, and does not quote the value,
//     which may be a secret. The value is unchanged after an error.
//   - MarshalText and String return a form that UnmarshalText reads back as the same value.
//   - A value is safe to log: a URL without its query, a Text that is no reference not at all.
//   - The zero value means that the setting was not given.
//
// The reader of the configuration replaces a reference (env:NAME, file:/path) in any setting by its value before the setting is
// read, except where the type is [Verbatim] or the field has the tag `setting:"verbatim"`.
//
// Config.Validate reports every problem, each with the name of its setting:
//
//	func (c *Config) Validate() error {
//		var problems []error
//		if c.URL.IsZero() {
//			problems = append(problems, setting.Bad("url", "is required"))
//		}
//		if c.Timeout <= 0 {
//			problems = append(problems, setting.Bad("timeout", "want more than 0"))
//		}
//		return errors.Join(problems...)
//	}
//
// A setting that is a path has the tag setting:"path". One that is a folder, by default the folder of the file, has
// setting:"dir". With the tag, a path in a file that another one includes is relative to its own file, as references to secrets are:
// New then finds it relative to Env.Dir. A setting that reads references itself, and is no Text, has setting:"text". A tag can have
// several words, with commas between them.
//
// The package does not know files. The reader of the configuration file finds the line from the name of the setting.
package setting

import (
	"errors"
	"fmt"
)

// Enum is an optional interface of the type of a setting that has fixed values.
type Enum interface {
	Words() []string // that UnmarshalText accepts
}

// Problem is an error about one setting. Path is relative to the value that was validated, with dots between keys and
// numbers for list items: "basic_auth.password", "scopes.0". An empty path means the value as a whole.
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

// Bad returns a [Problem] of the setting at path. Its text is one line that says what is wrong and what is wanted.
func Bad(path, format string, args ...any) error {
	return &Problem{Path: path, Text: fmt.Sprintf(format, args...)}
}

// Under returns err with prefix before the path of each of its problems. An error without a path gets prefix as its path.
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

// Problems returns the problems that are joined in err, in their order. An error that is no Problem becomes one with an
// empty path.
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
