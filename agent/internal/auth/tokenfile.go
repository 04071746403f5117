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

// record is the content of a token file. From identifies the refresh token of the settings that the token was obtained from,
// so that a new one in the settings is used.
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

// readToken returns the token in a file, "" if the file does not exist or its token was not obtained from the seed.
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
	if json.Unmarshal(text, &r) != nil || r.RefreshToken == "" || r.From == "" { // its error may show the token
		return "", fmt.Errorf("%s is not a token file or is damaged: delete it and set a new refresh_token", path)
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

// checkWritable returns an error if a file could not be replaced.
func checkWritable(path string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: set a file name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporary(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func temporary(path string) string { return "." + filepath.Base(path) + ".*" }
