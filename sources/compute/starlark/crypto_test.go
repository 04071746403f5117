package starlark

import (
	"encoding/base64"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/collectington/collectington/agent/digest"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// TestCrypto checks the functions against published answers (FIPS 180, RFC 1321, 2202, 4231, 4648 and 7914) and their bounds.
func TestCrypto(t *testing.T) {
	s := &source{env: sources.Env{Web: &httpclient.Host{Secrets: &setting.SecretStore{}}}}
	names := codecs()
	names["crypto"] = s.crypto()
	for call, want := range map[string]string{
		`crypto.md5("abc")`:         "900150983cd24fb0d6963f7d28e17f72",
		`crypto.sha1("abc")`:        "a9993e364706816aba3e25717850c26c9cd0d89d",
		`crypto.sha256(b"abc")`:     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		`crypto.sha512("abc")[:16]`: "ddaf35a193617aba",
		`crypto.md5("what do ya want for nothing?", key = "Jefe")`:                            "750c783e6ab0b503eaa86e310a5db738",
		`crypto.sha1("what do ya want for nothing?", "Jefe")`:                                 "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		`crypto.sha256("what do ya want for nothing?", key = b"Jefe", encoding = "base64")`:   "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=",
		`crypto.sha256("what do ya want for nothing?", key = "Jefe", encoding = "base64url")`: "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM",
		`crypto.pbkdf2("sha256", "passwd", "salt", 1, 64)[:16]`:                               "55ac046e56e3089f",
		`base64.encode("fo>?")`:                               "Zm8+Pw==",
		`base64.urlencode("fo>?")`:                            "Zm8-Pw",
		`base64.decode("Zm8-Pw") + base64.decode("Zm8+Pw==")`: "fo>?fo>?",
		`hex.decode(hex.encode("a/b"))`:                       "a/b",
		`url.quote("a b+c/\u00e4~")`:                          "a%20b%2Bc%2F%C3%A4~",
		`url.unquote("a%20b+c")`:                              "a b+c",

		`crypto.sha256(1)`:                       "error: crypto.sha256: data: want a string or bytes, got an int",
		`crypto.sha256("", key = 1)`:             "error: crypto.sha256: key: want a string or bytes, got an int",
		`crypto.sha256("", encoding = "b64")`:    `error: crypto.sha256: encoding: want hex, base64, base64url or bytes, got "b64"`,
		`crypto.pbkdf2("sha3", "", "", 1)`:       `error: crypto.pbkdf2: hash: want md5, sha1, sha256 or sha512, got "sha3"`,
		`crypto.pbkdf2("sha1", "", "", 1000001)`: "error: crypto.pbkdf2: iterations: want 1 to 1000000, got 1000001",
		`crypto.pbkdf2("sha1", "", "", 1, 65)`:   "error: crypto.pbkdf2: length: want 1 to 64 bytes, got 65",
		`crypto.random(0)`:                       "error: crypto.random: want 1 to 1024 bytes, got 0",
		`base64.decode("?")`:                     "error: base64.decode: not base64",
		`hex.decode("x")`:                        "error: hex.decode: encoding/hex: invalid byte: U+0078 'x'",
	} {
		v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x.star", call, names)
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else if text, ok := starlark.AsString(v); ok {
			got = text
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", call, got, want)
		}
	}
}

func FuzzDecodeBase64(f *testing.F) {
	f.Add("Zm8-Pw==")
	f.Fuzz(func(t *testing.T, text string) {
		out, err := digest.DecodeBase64(text)
		if err != nil {
			return
		}
		again, err := digest.DecodeBase64(strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(out)), "="))
		if err != nil || again != out {
			t.Errorf("%q: %q, %v", out, again, err)
		}
	})
}
