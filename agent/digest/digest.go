// Package digest computes hashes, HMACs and encodings for logins that answer a challenge, and for requests that are signed. A value that is
// computed from a secret is a secret too: some servers accept the hash of a password instead of the password.
package digest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf16"
)

// Bounds of one call of a function.
const (
	MaxIterations = 1_000_000 // iterations of PBKDF2; they take less than a second
	MaxDerived    = 64        // bytes of a derived key
	MaxRandom     = 1024      // random bytes
)

// Hashes returns the hash functions by name. Old APIs want MD5 and SHA-1.
func Hashes() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
}

// HashNamed returns the hash function with this name.
func HashNamed(name string) (func() hash.Hash, error) {
	if h := Hashes()[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("want md5, sha1, sha256 or sha512, got %.20q", name)
}

// DecodeBase64 decodes base64 with the standard or the URL alphabet (RFC 4648), with or without padding.
func DecodeBase64(s string) (string, error) {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return "", errors.New("not base64")
	}
	return string(b), nil
}

// Quote escapes a text for the query or the path of a URL.
func Quote(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Random returns n random bytes as hexadecimal digits.
func Random(n int) (string, error) {
	if n < 1 || n > MaxRandom {
		return "", fmt.Errorf("want 1 to %d bytes, got %d", MaxRandom, n)
	}
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b), nil
}

// Derive derives a key from a password with PBKDF2 (RFC 8018) and returns its bytes, not encoded.
func Derive(hashName, password, salt string, iterations, length int) (string, error) {
	h, err := HashNamed(hashName)
	switch {
	case err != nil:
		return "", err
	case iterations < 1 || iterations > MaxIterations:
		return "", fmt.Errorf("want 1 to %d iterations, got %d", MaxIterations, iterations)
	case length < 1 || length > MaxDerived:
		return "", fmt.Errorf("want 1 to %d bytes, got %d", MaxDerived, length)
	}
	key, err := pbkdf2.Key(h, password, []byte(salt), iterations, length)
	return string(key), err
}

// functions returns the functions that a formula can call. A function concatenates the texts that it gets. Hashes are returned as
// hexadecimal digits. The parameter secret is a function that returns the secret of a reference. The parameter keep is a function that
// returns its first argument. If one of its other arguments contains a secret, keep also remembers its first argument as a secret. In a
// formula, the function "now" returns the time in the parameter now.
func functions(secret func(reference string) (string, error), keep func(result string, of ...string) string, now time.Time) template.FuncMap {
	one := func(f func(string) (string, error)) func(...string) (string, error) {
		return func(texts ...string) (string, error) {
			out, err := f(strings.Join(texts, ""))
			return keep(out, texts...), err
		}
	}
	all := template.FuncMap{
		"secret":    secret,
		"now":       func() string { return strconv.FormatInt(now.Unix(), 10) },
		"random":    Random,
		"base64":    one(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64url": one(func(s string) (string, error) { return base64.RawURLEncoding.EncodeToString([]byte(s)), nil }),
		"unbase64":  one(DecodeBase64),
		"hex":       one(func(s string) (string, error) { return hex.EncodeToString([]byte(s)), nil }),
		"unhex":     one(unhex),
		"urlquery":  one(func(s string) (string, error) { return Quote(s), nil }),
		"utf16le":   one(func(s string) (string, error) { return utf16le(s), nil }),
		"upper":     one(func(s string) (string, error) { return strings.ToUpper(s), nil }),
		"hmac": func(name, key string, texts ...string) (string, error) {
			h, err := HashNamed(name)
			if err != nil {
				return "", err
			}
			sum := hmac.New(h, []byte(key))
			sum.Write([]byte(strings.Join(texts, "")))
			return keep(hex.EncodeToString(sum.Sum(nil)), append(texts, key)...), nil
		},
		"pbkdf2": func(name, password, salt string, iterations any, length ...int) (string, error) {
			n, err := strconv.Atoi(fmt.Sprint(iterations))
			if err != nil || len(length) > 1 {
				return "", errors.New("want a hash, a password, a salt, the number of iterations and perhaps a length in bytes")
			}
			key, err := Derive(name, password, salt, n, append(length, 32)[0])
			keep(key, password)
			return keep(hex.EncodeToString([]byte(key)), password), err
		},
	}
	for name, make := range Hashes() {
		all[name] = one(func(s string) (string, error) {
			h := make()
			h.Write([]byte(s))
			return hex.EncodeToString(h.Sum(nil)), nil
		})
	}
	return all
}

func unhex(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", errors.New("not hexadecimal digits")
	}
	return string(b), nil
}

// utf16le returns a text in UTF-16, little-endian: some devices hash a password in this encoding.
func utf16le(s string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}
