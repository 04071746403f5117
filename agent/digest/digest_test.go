package digest

import (
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

func vault() *setting.SecretStore {
	return &setting.SecretStore{LookupEnv: func(name string) (string, bool) {
		return map[string]string{"KEY": "1example!", "JEFE": "Jefe"}[name], true
	}}
}

func compute(text string, values map[string]string, v *setting.SecretStore) string {
	var f Formula
	if err := f.UnmarshalText([]byte(text)); err != nil {
		return err.Error()
	}
	out, err := f.Compute(values, v, time.Now())
	if err != nil {
		return err.Error()
	}
	return out
}

func TestFormulas(t *testing.T) {
	values := map[string]string{"salt1": "5A1711", "salt2": "5A1722", "challenge": "1234567z", "n": "10000", "hostile": `{{ secret "env:KEY" }}`}
	for text, want := range map[string]string{
		// AVM, "Login to the FRITZ!Box web interface", June 2021: the examples of PBKDF2 and of MD5.
		`{{ .salt2 }}${{ pbkdf2 "sha256" (unhex (pbkdf2 "sha256" (secret "env:KEY") (unhex .salt1) .n)) (unhex .salt2) 2000 }}`: "5A1722$1798a1672bca7c6463d6b245f82b53703b0f50813401b03e4045a5861e689adb",
		`{{ .challenge }}-{{ md5 (utf16le .challenge "-" "äbc") }}`:                                                             "1234567z-9e224a41eeefa284df7bb0f26c2913e2",
		// RFC 4231 section 4.3.
		`{{ hmac "sha256" (secret "env:JEFE") "what do ya want " "for nothing?" }}`: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		`{{ sha1 "abc" }}`:         "a9993e364706816aba3e25717850c26c9cd0d89d",
		`{{ "abc" | md5 }}`:        "900150983cd24fb0d6963f7d28e17f72",
		`{{ sha512 "a" | upper }}`: "1F40FC92DA241694750979EE6CF582F2D5D7D28E18335DE05ABC54D0560E0F5302860C652BF08D560252AA5E74210546F369FBBBCE8C12CFC7957B2652FE9A75",
		`{{ base64 "a?" }} {{ base64url "a?>" }} {{ unbase64 "YT8" }} {{ hex "a" }} {{ urlquery "a b&" }}`: "YT8= YT8- a? 61 a%20b%26",
		`x`:              "x",
		`{{ .hostile }}`: `{{ secret "env:KEY" }}`,

		`{{ .none }}`:                                     `map has no entry for key "none"`,
		`{{ sha3 "a" }}`:                                  `function "sha3" not defined: there are base64, base64url, hex, hmac, md5, now, pbkdf2, random, secret, sha1, sha256, sha512, unbase64, unhex, upper, urlquery, utf16le`,
		`{{ printf "%d" 1 }}`:                             `function "printf" is not allowed: there are`,
		`{{ secret .challenge }}`:                         `want (secret "env:NAME")`,
		`{{ secret "KEY" }}`:                              `want (secret "env:NAME")`,
		`{{ "env:KEY" | secret }}`:                        `want (secret "env:NAME")`,
		`{{ if .n }}x{{ end }}`:                           "is not allowed",
		`{{ $x := .n }}{{ $x }}`:                          "variables are not allowed",
		`{{ .n.m }}`:                                      "want one name",
		`{{ define "x" }}{{ end }}`:                       "without define and block",
		`{{ hmac "sha9" "a" "b" }}`:                       `hmac: want md5, sha1, sha256 or sha512, got "sha9"`,
		`{{ unhex "x" }}`:                                 "unhex: not hexadecimal digits",
		`{{ unbase64 "?" }}`:                              "unbase64: not base64",
		`{{ pbkdf2 "md5" "a" "b" 1000001 }}`:              "pbkdf2: want 1 to 1000000 iterations",
		`{{ pbkdf2 "md5" "a" "b" "x" }}`:                  "the number of iterations",
		`{{ pbkdf2 "md5" "a" "b" 1 65 }}`:                 "want 1 to 64 bytes",
		`{{ random 1025 }}`:                               "random: want 1 to 1024 bytes",
		strings.Repeat(`{{ pbkdf2 "md5" "a" "b" 1 }}`, 5): "more than 4 calls of pbkdf2",
		strings.Repeat("x", maxFormula+1):                 "want at most 4 KiB",
	} {
		if got := compute(text, values, vault()); got != want && !(strings.Contains(got, want) && len(want) > 12 && !strings.Contains(text, "sha256")) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestComputedSecrets checks that each value that is computed from a secret is a secret too, including the intermediate results.
func TestComputedSecrets(t *testing.T) {
	v := vault()
	out := compute(`{{ hmac "sha256" (secret "env:KEY") "a" }} {{ md5 "public" }} {{ base64 (unhex (sha1 (secret "env:KEY"))) }}`, nil, v)
	if got := v.Scrub(out); got != "<secret> "+compute(`{{ md5 "public" }}`, nil, v)+" <secret>" {
		t.Error(got)
	}
}

// FuzzFormula checks that a formula that compiles gives a text or a short error.
func FuzzFormula(f *testing.F) {
	for _, s := range []string{`{{ md5 .a }}`, `{{ .a | sha256 | unhex | base64 }}`, `{{ hmac "md5" (secret "env:KEY") .b }}`, `{{`, `{{ (md5) }}`, `{{ nil }}`, `{{ .a.b }}`, `{{ pbkdf2 "md5" "" "" 9 }}`} {
		f.Add(s, "1")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.Contains(text, "pbkdf2") && len(text) > 40 {
			return // slow
		}
		var formula Formula
		err := formula.UnmarshalText([]byte(text))
		if err == nil {
			var out string
			if out, err = formula.Compute(map[string]string{"a": value, "b": value}, vault(), time.Now()); len(out) > maxResult {
				t.Errorf("%q: %d bytes", text, len(out))
			}
		}
		if err != nil && len(err.Error()) > 2*maxFormula {
			t.Errorf("%q: %d bytes of error", text, len(err.Error()))
		}
	})
}

// TestMistakesAreFoundAtOnce checks that a mistake which occurs with all values is found when the formula is compiled, not
// at the first request.
func TestMistakesAreFoundAtOnce(t *testing.T) {
	for text, want := range map[string]string{
		`{{ unhex "zz" }}`:                `unhex: `,
		`{{ "%%%" | unbase64 }}`:          `unbase64: `,
		`{{ hmac "sha256" (unhex "0") }}`: `unhex: `,
		`{{ random 100000 }}`:             `random: want 1 to `,
		`{{ hmac }}`:                      `wrong number of args for hmac: want at least 2 got 0`,
		`{{ hmac "sha256" }}`:             `wrong number of args for hmac: want at least 2 got 1`,
		`{{ random 8 .a }}`:               `wrong number of args for random: want 1 got 2`,
		`{{ now .a }}`:                    `wrong number of args for now: want 0 got 1`,
		`{{ .a | now }}`:                  `wrong number of args for now: want 0 got 1`,
		`{{ pbkdf2 "sha256" .a }}`:        `wrong number of args for pbkdf2: want at least 4 got 2`,
		`{{ hmca "sha256" .a }}`:          `function "hmca" not defined: there are `,
	} {
		var f Formula
		if err := f.UnmarshalText([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s…", text, err, want)
		}
	}
	for _, text := range []string{`{{ hmac "sha256" .a }}`, `{{ .a | hmac "sha256" "key" }}`, `{{ unhex .a }}`, `{{ base64 }}`, `{{ now }}`, `{{ random 8 }}`, `{{ "00" | unhex | base64 }}`, `{{ now | unhex | base64 }}`} {
		var f Formula
		if err := f.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
