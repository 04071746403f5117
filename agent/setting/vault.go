package setting

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// maxSecretFile bounds what is read of a secret's file, in bytes.
const maxSecretFile = 1 << 20

// maxKeys bounds the names that are read from a file of many secrets.
const maxKeys = 1000

// Vault reads secrets and remembers what it has read, so that [Vault.Scrub] can blank it wherever text leaves the agent.
// It is safe for concurrent use. The zero value is ready, and a nil Vault reads but remembers nothing; relative paths are
// taken from Dir.
type Vault struct {
	Dir       string
	LookupEnv func(string) (string, bool) // nil = os.LookupEnv

	// StandIns, where not nil, has LookupEnv tell what stands in files too, by the KEY of file:/path#KEY or else the file's
	// name. A file of many secrets that is not there has these names.
	StandIns []string

	known known
}

// Secret reads what the reference names, afresh at each call so that a rotated file is noticed. It fails where the
// variable or file is missing or empty.
func (v *Vault) Secret(ref Secret) (string, error) {
	if v == nil {
		v = &Vault{}
	}
	value, err := v.read(string(ref))
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", ref, err)
	}
	v.rememberRead(value)
	return value, nil
}

// Text is the text itself, or what it refers to.
func (v *Vault) Text(t Text) (string, error) {
	if isReference(string(t)) {
		return v.Secret(Secret(t))
	}
	return string(t), nil
}

func (v *Vault) read(ref string) (string, error) {
	if name, ok := strings.CutPrefix(ref, "env:"); ok {
		lookup := v.LookupEnv
		if lookup == nil {
			lookup = os.LookupEnv
		}
		value, set := lookup(name)
		if !set || value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	}
	path, key, keyed := strings.Cut(strings.TrimPrefix(ref, "file:"), "#")
	if v.StandIns != nil {
		return v.read("env:" + cmp.Or(key, filepath.Base(path)))
	}
	data, err := v.readFile(path)
	if err != nil {
		return "", err
	}
	if keyed {
		return lineOf(data, path, key)
	}
	value := string(bytes.TrimRight(data, "\r\n"))
	if value == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return value, nil
}

func (v *Vault) readFile(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(v.Dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSecretFile {
		return nil, fmt.Errorf("%s is larger than %s", path, Bytes(maxSecretFile))
	}
	return data, nil
}

// Keys are the names in a file of lines as of [Secret]'s file:/path#KEY, in their order. No value is kept.
func (v *Vault) Keys(path string) ([]string, error) {
	if v == nil {
		v = &Vault{}
	}
	data, err := v.readFile(path)
	if v.StandIns != nil && errors.Is(err, os.ErrNotExist) {
		return v.StandIns, nil
	}
	if err != nil {
		return nil, err
	}
	name := regexp.MustCompile(`^[a-zA-Z_][\w.-]*$`) // nothing that may be part of a secret itself
	var keys []string
	for key := range linesOf(data) {
		if name.MatchString(key) && !slices.Contains(keys, key) && len(keys) < maxKeys {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// lineOf finds KEY=value or KEY="value" in a file of such lines.
func lineOf(data []byte, path, key string) (string, error) {
	for name, value := range linesOf(data) {
		if name != key {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if value == "" {
			return "", fmt.Errorf("%s: %s is empty", path, key)
		}
		return value, nil
	}
	return "", fmt.Errorf("%s has no line %s=…", path, key)
}

// linesOf are the keys and values of lines KEY=value; "export " before the key and #-comments are allowed.
func linesOf(data []byte) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for line := range strings.Lines(string(data)) {
			key, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
			key = strings.TrimSpace(key)
			if found && key != "" && key[0] != '#' && !yield(key, strings.TrimSpace(value)) {
				return
			}
		}
	}
}
