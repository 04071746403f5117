package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/httpclient"
)

// record is what a token file holds. It tells which refresh token of the settings its own has come of, so that a new one in
// the settings is used.
type record struct {
	RefreshToken string `json:"refresh_token"`
	From         string `json:"from"` // SHA-256 of the settings' token
}

// maxTokenFile bounds a token file, in bytes.
const maxTokenFile = 64 << 10

func inFolder(h *httpclient.Host, path string) string {
	if filepath.IsAbs(path) || h.Secrets == nil {
		return path
	}
	return filepath.Join(h.Secrets.Dir, path)
}

func from(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:])
}

// readToken is the token in a file, "" where there is none that has come of the seed.
func readToken(path, seed string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", err
	}
	var r record
	if json.Unmarshal(text, &r) != nil || r.RefreshToken == "" || r.From == "" { // whose error may show the token
		return "", fmt.Errorf("%s is no token file, or is damaged: delete it, and put a new refresh token where refresh_token refers to", path)
	}
	if r.From != from(seed) {
		return "", nil
	}
	return r.RefreshToken, nil
}

// writeToken puts a file with the token in the place of the one before. Whenever the process ends, there is one or the other,
// and it is whole.
func writeToken(path, seed, token string) (err error) {
	text, err := json.Marshal(record{token, from(seed)})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporary(path)) // which only its owner can read
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// checkWritable tells why a file could not be replaced.
func checkWritable(path string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is a directory, or else no regular file: name a file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporary(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func temporary(path string) string { return "." + filepath.Base(path) + ".*" }
