package starlark

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/agent/digest"
)

// crypto returns the module crypto: hashes, HMAC (RFC 2104), PBKDF2 (RFC 8018) and random bytes, for signed requests, and for logins that
// answer a challenge.
func (s *source) crypto() *starlarkstruct.Module {
	members := starlark.StringDict{
		"pbkdf2": starlark.NewBuiltin("crypto.pbkdf2", s.pbkdf2),
		"random": starlark.NewBuiltin("crypto.random", random),
	}
	for name, make := range digest.Hashes() {
		members[name] = starlark.NewBuiltin("crypto."+name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return s.digest(make, b.Name(), args, kwargs)
		})
	}
	return &starlarkstruct.Module{Name: "crypto", Members: members}
}

// digest implements the function crypto.sha256(data, key, encoding) and the functions for the other hashes. If there is a key, the result
// is an HMAC.
func (s *source) digest(make func() hash.Hash, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var data, key starlark.Value
	encoding := "hex"
	if err := starlark.UnpackArgs(name, args, kwargs, "data", &data, "key??", &key, "encoding?", &encoding); err != nil {
		return nil, err
	}
	text, err := bytesOf(name, "data", data)
	if err != nil {
		return nil, err
	}
	h, secret := make(), text
	if key != nil {
		k, err := bytesOf(name, "key", key)
		if err != nil {
			return nil, err
		}
		h, secret = hmac.New(make, []byte(k)), k+"\x00"+text
	}
	h.Write([]byte(text))
	return s.encoded(name, h.Sum(nil), encoding, secret)
}

// pbkdf2 is the function crypto.pbkdf2(hash, password, salt, iterations, length, encoding).
func (s *source) pbkdf2(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var password, salt starlark.Value
	iterations, length, encoding := 0, 32, "hex"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "hash", &name, "password", &password, "salt", &salt, "iterations", &iterations, "length?", &length, "encoding?", &encoding); err != nil {
		return nil, err
	}
	make := digest.Hashes()[name]
	switch {
	case make == nil:
		return nil, fmt.Errorf("%s: hash: want md5, sha1, sha256 or sha512, got %.20q", b.Name(), name)
	case iterations < 1 || iterations > digest.MaxIterations:
		return nil, fmt.Errorf("%s: iterations: want 1 to %d, got %d", b.Name(), digest.MaxIterations, iterations)
	case length < 1 || length > digest.MaxDerived:
		return nil, fmt.Errorf("%s: length: want 1 to %d bytes, got %d", b.Name(), digest.MaxDerived, length)
	}
	text, err := bytesOf(b.Name(), "password", password)
	if err != nil {
		return nil, err
	}
	grain, err := bytesOf(b.Name(), "salt", salt)
	if err != nil {
		return nil, err
	}
	derived, err := pbkdf2.Key(make, text, []byte(grain), iterations, length)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return s.encoded(b.Name(), derived, encoding, text)
}

// encoded returns the hash sum in an encoding. The parameter "of" is the text that was hashed. If this text contains a secret, the hash is
// also treated as a secret, since some servers accept the hash of a password in place of the password.
func (s *source) encoded(name string, sum []byte, encoding, of string) (starlark.Value, error) {
	if s.vault().Scrub(of) != of {
		s.vault().RememberResult(hex.EncodeToString(sum))
		s.vault().RememberResult(string(sum))
	}
	switch encoding {
	case "hex":
		return starlark.String(hex.EncodeToString(sum)), nil
	case "base64":
		return starlark.String(base64.StdEncoding.EncodeToString(sum)), nil
	case "base64url":
		return starlark.String(base64.RawURLEncoding.EncodeToString(sum)), nil
	case "bytes":
		return starlark.Bytes(sum), nil
	}
	return nil, fmt.Errorf("%s: encoding: want hex, base64, base64url or bytes, got %.20q", name, encoding)
}

// random is the function crypto.random(length). It returns random bytes as hexadecimal digits; the argument is the number of bytes.
func random(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	length := 16
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "length?", &length); err != nil {
		return nil, err
	}
	if length < 1 || length > digest.MaxRandom {
		return nil, fmt.Errorf("%s: want 1 to %d bytes, got %d", b.Name(), digest.MaxRandom, length)
	}
	sum := make([]byte, length)
	rand.Read(sum) // never returns an error (see crypto/rand)
	return starlark.String(hex.EncodeToString(sum)), nil
}

// bytesOf returns the bytes of a value of type string or bytes.
func bytesOf(name, argument string, v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case starlark.Bytes:
		return string(v), nil
	}
	return "", fmt.Errorf("%s: %s: want a string or bytes, got %s", name, argument, describe(v))
}

// codecs returns the modules base64, hex and url. Decoding returns a string, which may contain any bytes.
func codecs() starlark.StringDict {
	return starlark.StringDict{
		"base64": codec("base64", map[string]func(string) (string, error){
			"encode":    func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil },
			"urlencode": func(s string) (string, error) { return base64.RawURLEncoding.EncodeToString([]byte(s)), nil },
			"decode":    digest.DecodeBase64,
		}),
		"hex": codec("hex", map[string]func(string) (string, error){
			"encode": func(s string) (string, error) { return hex.EncodeToString([]byte(s)), nil },
			"decode": func(s string) (string, error) {
				b, err := hex.DecodeString(s)
				return string(b), err
			},
		}),
		"url": codec("url", map[string]func(string) (string, error){
			"quote":   func(s string) (string, error) { return digest.Quote(s), nil },
			"unquote": url.PathUnescape,
		}),
	}
}

// codec returns a module whose functions each take one string.
func codec(module string, functions map[string]func(string) (string, error)) *starlarkstruct.Module {
	members := starlark.StringDict{}
	for name, f := range functions {
		members[name] = starlark.NewBuiltin(module+"."+name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var data starlark.Value
			if err := starlark.UnpackArgs(b.Name(), args, kwargs, "data", &data); err != nil {
				return nil, err
			}
			text, err := bytesOf(b.Name(), "data", data)
			if err != nil {
				return nil, err
			}
			out, err := f(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
			return starlark.String(out), nil
		})
	}
	return &starlarkstruct.Module{Name: module, Members: members}
}
