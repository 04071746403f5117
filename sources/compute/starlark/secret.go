package starlark

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// secret is secret(name): the secret that the settings call so, read once a tick.
func (s *source) secret(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	ref, ok := s.secrets[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("script.secrets names no %q: add it there, or in a config.json as a line of the file that secret_file_path names", name)
	case s.tick == nil:
		return nil, errors.New("secret: call it in a function: the top level runs once, and a secret may change")
	}
	value, ok := s.tick.secrets[name]
	if !ok {
		var err error
		if value, err = s.vault().Secret(ref); err != nil {
			return nil, err
		}
		s.tick.secrets[name] = value
	}
	return starlark.String(value), nil
}

// vault knows the secrets. It can be nil, which reads but remembers nothing.
func (s *source) vault() *setting.SecretStore {
	if s.env.Web == nil {
		return nil
	}
	return s.env.Web.Secrets
}

// clip is a text that a script may have made, as one line of at most max bytes and without secrets. They go first, lest
// half of one remains.
func (s *source) clip(long string, limit int) string {
	return text.Cut(text.OneLine(s.vault().Scrub(long)), limit)
}
