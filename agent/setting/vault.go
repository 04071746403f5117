package setting

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretFile bounds what is read of a secret's file, in bytes.
const maxSecretFile = 1 << 20

// Vault reads secrets and remembers what it has read, so that [Vault.Scrub] can blank it wherever text leaves the agent.
// It is safe for concurrent use. The zero value is ready, and a nil Vault reads but remembers nothing; relative paths are
// taken from Dir.
type Vault struct {
	Dir       string
	LookupEnv func(string) (string, bool) // nil = os.LookupEnv

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
	v.Remember(value)
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

// lineOf finds KEY=value or KEY="value" in a file of such lines; "export " before the key and #-comments are allowed.
func lineOf(data []byte, path, key string) (string, error) {
	for line := range strings.Lines(string(data)) {
		name, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !found || strings.TrimSpace(name) != key {
			continue
		}
		value = strings.TrimSpace(value)
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
