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

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient"
)

// tokenRecord is the content of a token file: a refresh token that the server has issued, and a hash of the configured refresh
// token from which it was obtained. When the configured token changes, the record is no longer used.
type tokenRecord struct {
	RefreshToken string `json:"refresh_token"`
	From         string `json:"from"` // SHA-256 of the configured token
}

// maxTokenFile is the maximum size of a token file, in bytes.
const maxTokenFile = 64 << 10

// inFolder returns a path. If it is relative, it is resolved against the directory of the configuration file.
func inFolder(h *httpclient.Host, path string) string {
	if filepath.IsAbs(path) || h.Secrets == nil {
		return path
	}
	return filepath.Join(h.Secrets.Dir, path)
}

func hash(configured string) string {
	sum := sha256.Sum256([]byte(configured))
	return hex.EncodeToString(sum[:])
}

// readToken returns the token that is saved in a file. It returns "" if the file does not exist, or if its token was obtained with another
// token than the one that is configured now.
func readToken(path, configured string) (string, error) {
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
	token, err := parseToken(text, configured)
	if err != nil {
		return "", fmt.Errorf("%s is damaged, or not a token file: delete it, and put a new refresh token where refresh_token refers to", path)
	}
	return token, nil
}

// parseToken returns the token in a record, or "" if the record belongs to another configured token.
func parseToken(text []byte, configured string) (string, error) {
	var r tokenRecord
	if json.Unmarshal(text, &r) != nil || r.RefreshToken == "" || r.From == "" { // the error of Unmarshal could show the token
		return "", errors.New("not a token")
	}
	if r.From != hash(configured) {
		return "", nil
	}
	return r.RefreshToken, nil
}

// tokenText returns the record of a token.
func tokenText(configured, token string) []byte {
	text, _ := json.Marshal(tokenRecord{token, hash(configured)}) // marshaling strings cannot fail
	return append(text, '\n')
}

// writeToken replaces a token file atomically: after a crash the file contains either the old or the new token.
func writeToken(path, configured, token string) error {
	return durable.ReplaceFile(path, tokenText(configured, token))
}
