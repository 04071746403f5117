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

// tokenRecord is the content of a token file. It holds a refresh token that the server has issued, and a hash of the
// configured one for which it did. When the configured token changes, the record no longer applies.
type tokenRecord struct {
	RefreshToken string `json:"refresh_token"`
	From         string `json:"from"` // SHA-256 of the configured token
}

// maxTokenFile is the maximum size of a token file, in bytes.
const maxTokenFile = 64 << 10

// inFolder returns a path relative to the folder of the configuration file.
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

// readToken returns the token in a file, or "" if the file is missing or belongs to another configured token.
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

// parseToken returns the token in a record, or "" if it belongs to another configured token.
func parseToken(text []byte, configured string) (string, error) {
	var r tokenRecord
	if json.Unmarshal(text, &r) != nil || r.RefreshToken == "" || r.From == "" { // its error could show the token
		return "", errors.New("not a token")
	}
	if r.From != hash(configured) {
		return "", nil
	}
	return r.RefreshToken, nil
}

// tokenText returns the record of a token.
func tokenText(configured, token string) []byte {
	text, _ := json.Marshal(tokenRecord{token, hash(configured)}) // of strings it cannot fail
	return append(text, '\n')
}

// writeToken replaces a token file. After a crash the file holds the old token or the new one.
func writeToken(path, configured, token string) error {
	return durable.ReplaceFile(path, tokenText(configured, token))
}
