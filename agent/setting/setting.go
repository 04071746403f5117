// Package setting holds the types of settings: [Duration], [Bytes], [URL], [Secret] and [Text]. It also holds [Problem], the error
// that names a setting, and [SecretStore], which reads secrets and removes them from texts.
//
// A plug-in's Config is a struct of such types with yaml tags. Each type guarantees:
//
//   - UnmarshalText accepts only valid values. Its error says in one line what is wanted. The error does not quote the value,
//     which may be a secret. After an error, the value is unchanged.
//   - MarshalText and String return a text from which UnmarshalText makes the same value.
//   - A value is safe to log: a URL is logged without its query, and a Text that is not a reference is not logged.
//   - The zero value means that the setting was not given.
//
// The reader of the configuration replaces a reference (env:NAME, file:/path) in any setting by the reference's value before it reads the
// setting. It does not do so if the type is [Verbatim] or the field has the tag `setting:"verbatim"`.
//
// Config.Validate reports every problem, each with the name of its setting:
//
//	func (c *Config) Validate() error {
//		var problems []error
//		if c.URL.IsZero() {
//			problems = append(problems, setting.Errorf("url", "is required"))
//		}
//		if c.Timeout <= 0 {
//			problems = append(problems, setting.Errorf("timeout", "want more than 0"))
//		}
//		return errors.Join(problems...)
//	}
//
// Tags describe settings. A path has the tag setting:"path". A folder whose default is the folder of the configuration file has
// setting:"dir". If a configuration file is included by another file, paths and references to secrets in it are relative to the included
// file. For this, Config.New joins paths with Env.Dir. A setting that reads references itself but is not a Text has setting:"text". A tag
// can have several words, separated by commas.
//
// This package does not read configuration files. The reader of the configuration finds the line of a setting by its name.
package setting

import (
	"errors"
	"fmt"
)

// Enum is an optional interface. The type of a setting implements it if the setting has a fixed set of values.
type Enum interface {
	Words() []string // the values that UnmarshalText accepts
}

// Problem is an error in one setting. Path is relative to the value that was validated, with dots between keys and indexes of
// lists: "basic_auth.password", "scopes.0". An empty path means the whole value.
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

// Errorf returns a [Problem] of the setting at path. The text is one line that says what is wrong and what is wanted.
func Errorf(path, format string, args ...any) error {
	return &Problem{Path: path, Text: fmt.Sprintf(format, args...)}
}

// Under adds the argument "prefix" before the path of each problem in err. If an error has no path, the prefix becomes its path.
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

// Problems returns the problems that are joined in err, in their order. An error that is not a Problem becomes a Problem with an
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
