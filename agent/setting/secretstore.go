package setting

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/collectington/collectington/agent/pattern"
)

// maxSecretFile is the maximum size of a file with secrets, in bytes.
const maxSecretFile = 1 << 20

// maxKeys is the maximum number of names that Keys returns.
const maxKeys = 1000

// SecretStore reads secrets and remembers their values, so that [SecretStore.Scrub] can remove them from every text that leaves the agent.
// It is safe for concurrent use. The zero value is ready to use. A nil *SecretStore reads secrets, but does not remember them.
type SecretStore struct {
	Dir       string                      // the directory to which paths are relative
	LookupEnv func(string) (string, bool) // nil = os.LookupEnv

	// StandIns is for tests of jobs, which read no secret files. If it is not nil, a secret in a file is looked up with LookupEnv instead:
	// file:/path#KEY by the name KEY, and a reference without #KEY by the base name of its file. The method Keys then returns StandIns for a
	// file that is missing.
	StandIns []string

	known known
}

// Secret returns the value of a secret. It reads the value at each call, so that a changed secret takes effect. It returns an error
// if the variable, file or key is missing or empty.
func (s *SecretStore) Secret(ref Secret) (string, error) {
	if s == nil {
		s = &SecretStore{}
	}
	value, err := s.read(string(ref))
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", ref, err)
	}
	s.rememberRead(value)
	return value, nil
}

// Content returns the value of a reference. If the reference is to a whole file, Content returns the whole file unchanged and does not
// remember it as a secret, since most of the file is ordinary text, which Scrub must not remove. A variable, and the value of a key in a
// file, are secrets.
func (s *SecretStore) Content(ref Secret) (string, error) {
	path, isFile := strings.CutPrefix(string(ref), "file:")
	if s == nil {
		s = &SecretStore{}
	}
	if !isFile || strings.Contains(path, "#") {
		return s.Secret(ref)
	}
	content, err := "", error(nil)
	if s.StandIns != nil {
		content, err = s.read(string(ref))
	} else {
		var data []byte
		data, err = s.readFile(path)
		content = string(data)
	}
	if err == nil && content == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", ref, err)
	}
	return content, nil
}

// Text returns the text, or the secret to which it refers. References inside the text are replaced by the secrets, without any
// escaping.
func (s *SecretStore) Text(t Text) (string, error) {
	if t.IsReference() {
		value, err := s.Secret(Secret(t))
		if err != nil {
			err = fmt.Errorf("%w%s", err, orLetters(string(t)))
		}
		return value, err
	}
	if !strings.Contains(string(t), "{{") {
		return string(t), nil
	}
	pieces, err := Pieces(string(t))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range pieces {
		value := Letters(p.Letters)
		if p.Secret != "" {
			if value, err = s.Secret(p.Secret); err != nil {
				return "", err
			}
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

func (s *SecretStore) read(ref string) (string, error) {
	if name, ok := strings.CutPrefix(ref, "env:"); ok {
		lookup := s.LookupEnv
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
	if s.StandIns != nil {
		return s.read("env:" + cmp.Or(key, filepath.Base(path)))
	}
	data, err := s.readFile(path)
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

func (s *SecretStore) readFile(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	// Without O_NONBLOCK, opening a named pipe would block the run until another process writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %s: want a regular file", path, kindOf(info.Mode()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSecretFile {
		return nil, fmt.Errorf("%s is larger than %s", path, Bytes(maxSecretFile))
	}
	return data, nil
}

// kindOf returns a description of a file that is not regular.
func kindOf(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// Keys returns the different keys in a file with lines KEY=value, in their order. It does not return values.
func (s *SecretStore) Keys(path string) ([]string, error) {
	if s == nil {
		s = &SecretStore{}
	}
	data, err := s.readFile(path)
	if s.StandIns != nil && errors.Is(err, os.ErrNotExist) {
		return s.StandIns, nil
	}
	if err != nil {
		return nil, err
	}
	name := regexp.MustCompile(`^[a-zA-Z_][\w.-]*$`) // so that a key cannot be a part of a secret
	var keys []string
	for key := range linesOf(data) {
		if name.MatchString(key) && !slices.Contains(keys, key) && len(keys) < maxKeys {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Remember makes Scrub remove a value that the store has not read itself, such as the token of a login. Scrub also finds the value
// when it is encoded: with percent-encoding, with escapes of JSON or HTML, in hexadecimal, or in base64, even inside other base64.
// It also finds the beginning of a value: eight or more characters, or four or more before an ellipsis.
//
// A value is known for at least ten minutes, unless more than 8,192 other values, or more than 2 MiB of them, are used meanwhile. The 512
// most recently used values are known without a limit of time. So call Remember at each use of a value.
func (s *SecretStore) Remember(value string) {
	if s != nil && len(value) >= minSecret {
		s.known.remember(value, &s.known.secrets, maxRecent)
	}
}

// RememberResult is like Remember, for a value that was computed from secrets and is used only now, such as the signature of a request. The
// 512 newest results are known.
func (s *SecretStore) RememberResult(value string) {
	if s != nil && len(value) >= minSecret {
		s.known.remember(value, &s.known.results, maxKnown)
	}
}

// RememberLogin remembers a password. It also remembers the text that basic authentication (RFC 7617) sends for the user and the password.
func (s *SecretStore) RememberLogin(user, password string) {
	s.Remember(password)
	s.Remember(base64.StdEncoding.EncodeToString([]byte(user + ":" + password)))
}

// credential matches the value of an Authorization header (RFC 9110, section 11.4). Its group is the credential: the key in "Token
// token=key" or "Bearer key".
var credential = pattern.OnUse(`^(?:[A-Za-z][\w-]* +)?(?:[A-Za-z][\w-]*=)?"?([^\s"=]+=*)"?$`)

// rememberRead remembers a secret that was read, and those parts of the secret that a server may repeat without the rest: the password in a
// URL, and the credential in the value of a header.
func (s *SecretStore) rememberRead(value string) {
	s.Remember(value)
	if u, err := url.Parse(value); err == nil && u.User != nil {
		password, _ := u.User.Password()
		s.Remember(password)
	}
	if parts := credential().FindStringSubmatch(value); parts != nil {
		s.Remember(parts[1])
	}
}

// Scrub returns the text with each known secret replaced by "<secret>".
func (s *SecretStore) Scrub(text string) string {
	if s == nil {
		return text
	}
	return s.known.scrub(text)
}

// lineOf returns the value in the line KEY=value or KEY="value" for a key.
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
	return "", fmt.Errorf("%s has no line %s=VALUE", path, key)
}

// linesOf yields the keys and values of lines KEY=value. It skips comments (#), and ignores "export " before a key.
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
