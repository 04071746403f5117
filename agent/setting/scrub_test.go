package setting

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
)

// encodings returns texts with a secret in the forms in which servers, proxies and libraries write secrets. The keys are the names of the
// forms.
func encodings(secret string) map[string]string {
	quoted := func(s string) string { text, _ := json.Marshal(s); return string(text) }
	lower := func(s string) string { // as .NET: %2b
		parts := strings.Split(s, "%")
		for i := 1; i < len(parts); i++ {
			parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
		}
		return strings.Join(parts, "%")
	}
	upper := func(s string) string {
		if len(s) < minCut {
			return s // a short secret is removed only if its letters have the same case
		}
		return strings.Map(func(r rune) rune {
			if r < 0x80 {
				return unicode.ToUpper(r)
			}
			return r
		}, s)
	}
	var every, escaped, entities, backslash strings.Builder
	for _, c := range []byte(secret) {
		fmt.Fprintf(&every, "%%%02x", c)
		fmt.Fprintf(&backslash, "\\x%02X", c)
	}
	for _, unit := range utf16.Encode([]rune(secret)) {
		fmt.Fprintf(&escaped, "\\u%04X", unit)
	}
	for _, r := range secret {
		fmt.Fprintf(&entities, "&#x%x;", r)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	return map[string]string{
		"itself": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "query in lower case": lower(url.QueryEscape(secret)),
		"every byte": every.String(), "twice": url.QueryEscape(url.QueryEscape(secret)), "JSON": quoted(secret), "JSON in JSON": quoted(quoted(secret)),
		"JSON in a query": url.QueryEscape(quoted(secret)), "quoted": fmt.Sprintf("%q", secret), "quoted twice": fmt.Sprintf("%q", fmt.Sprintf("%q", secret)),
		"escapes": escaped.String(), "bytes": backslash.String(), "HTML": html.EscapeString(secret), "entities": entities.String(),
		"JSON with slashes": strings.ReplaceAll(quoted(secret), "/", `\/`), "plus": strings.ReplaceAll(secret, "+", " "),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64 raw": base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64 of URLs": base64.URLEncoding.EncodeToString([]byte(secret)), "base64 of URLs raw": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"Basic": "Basic " + basic, "Basic in a query": url.QueryEscape(basic),
		"base64 of one before": base64.StdEncoding.EncodeToString([]byte("x" + secret + "yz")),
		"base64 of two before": base64.URLEncoding.EncodeToString([]byte("xy" + secret + "z")),
		"hex":                  hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))), "upper case": upper(secret),
	}
}

// TestScrubFindsEveryEncoding checks that Scrub removes a secret in every form in which servers repeat it, and removes nothing else.
func TestScrubFindsEveryEncoding(t *testing.T) {
	for _, secret := range []string{"abcDEFsecret+ghiJKL/mno+PQR==", `p&ss w"rd'/+<x>\é😀`, "100%25ab%41\\u0041x", "hunter22", "s3cr3t", "key-5-z9", "a b+c/d=e&f"} {
		for what, text := range encodings(secret) {
			var v SecretStore
			v.Remember(secret)
			got := v.Scrub("the request " + text + " was refused")
			if got = strings.NewReplacer(`"`, "", `\`, "", "Basic ", "", "%22", "", "%3D", "").Replace(got); got != "the request <secret> was refused" {
				t.Errorf("%s, %s: %q is left as %q", secret, what, text, got)
			}
		}
	}
}

// TestScrubFindsCutSecrets checks that Scrub removes the beginning or end of a secret if the text has only this part.
func TestScrubFindsCutSecrets(t *testing.T) {
	const secret = "MARKERsecret-42-abcdefgh"
	var v SecretStore
	v.Remember(secret)
	for text, want := range map[string]string{
		"key MARKERsecret-42-abc is wrong": "key <secret> is wrong", "key MARKERse is wrong": "key <secret> is wrong",
		"key MARKERsecr**** is wrong": "key <secret>**** is wrong", "key MARK... is wrong": "key <secret>... is wrong",
		"key MARKER…": "key <secret>…", `key "MARKE ...`: `key "<secret> ...`, "cret-42-abcdefgh": blank, "key TUFSS0VSc2VjcmV0L is": "key <secret> is",
		"key 4d41524b45527365 is": "key <secret> is", "%4dARKERs%65cr is": "<secret> is", "MARKER of abcdefg": "MARKER of abcdefg",
	} {
		if got := v.Scrub(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestScrubFindsCutEscapes checks that Scrub removes a part of a secret if characters in it are escaped, also when a log has quoted the
// text.
func TestScrubFindsCutEscapes(t *testing.T) {
	const secret = `MARKER/s3cr+t&K=y "q'<end`
	var v SecretStore
	v.Remember(secret)
	for _, cut := range []string{`MARKER/s3cr+t&K=y \"q'<e ...`, `MARKER/s3cr+t&K=y \"q'<e`, `MARKER\/s3cr\u002bt\u0026K...`, `KER/s3cr+t&K=y \"q'<end`, `MARKER%2fs3cr%2bt`} {
		for _, text := range []string{"got " + cut, fmt.Sprintf("%q", "got "+cut)} {
			if got := v.Scrub(text); strings.Contains(got, "s3cr") || strings.Contains(got, "K=") || !strings.Contains(got, "got <secret>") {
				t.Errorf("%s is left as %s", text, got)
			}
		}
	}
}

// TestScrubKeepsWords checks a message that has some words in common with a secret. These words are kept.
func TestScrubKeepsWords(t *testing.T) {
	v := SecretStore{LookupEnv: func(name string) (string, bool) { return name, true }}
	for _, secret := range []string{
		"postgres://ops:hunter22@db.example.com:5432/app?sslmode=disable", "prometheus-reader-x9Kq2LmN4pQr", "Bearer abcDEF123456", "password-of-2026-Kx9",
	} {
		if _, err := v.Secret(Secret("env:" + secret)); err == nil {
			continue
		}
		v.rememberRead(secret)
	}
	const text = `postgres: lookup db.example.com:5432: set sslmode=disable; ask prometheus for the password, Bearer, prometheus-reader`
	if got := v.Scrub(text); got != text {
		t.Errorf("got %q", got)
	}
	if got := v.Scrub("hunter22 abcDEF123456 prometheus-reader-x9Kq2LmN4pQr"); got != "<secret> <secret> <secret>" {
		t.Errorf("got %q", got)
	}
}

// TestScrubIsBounded checks that the time for a text does not grow with the number of secrets, even if all secrets begin in the same way.
func TestScrubIsBounded(t *testing.T) {
	text := strings.Repeat("eyJhbGciOiJIUzI1NiJ9. a text with \\u0041 and %41 ... ", 400)
	took := func(secrets int) time.Duration {
		var v SecretStore
		for i := range secrets {
			v.Remember(fmt.Sprintf("eyJhbGciOiJIUzI1NiJ9.%d", i))
		}
		begun := time.Now()
		v.Scrub(text)
		return time.Since(begun)
	}
	took(1)
	if few, many := took(1), took(2*maxKnown); many > 100*few+20*time.Second {
		t.Errorf("%v with 1 secret, %v with %d", few, many, 2*maxKnown)
	}
	var same SecretStore
	same.Remember(strings.Repeat("a", maxSecretFile))
	begun := time.Now()
	if got := same.Scrub(strings.Repeat("a", maxSecretFile)); got != blank || time.Since(begun) > 20*time.Second {
		t.Errorf("%d bytes in %v", len(got), time.Since(begun))
	}
	long := strings.Repeat("x", pieceSize-10) + "hunter22-and-more" + strings.Repeat("y", pieceSize)
	var v SecretStore
	v.Remember("hunter22-and-more")
	if got := v.Scrub(long); strings.Contains(got, "hunter") || len(got) != len(long)-len("hunter22-and-more")+len(blank) {
		t.Errorf("a secret at the seam of two pieces is left: %d bytes of %d", len(got), len(long))
	}
}

// FuzzScrubEncodings checks that no secret is left in a text, whatever its encoding and place, when there are other secrets too.
func FuzzScrubEncodings(f *testing.F) {
	f.Add("abcDEFsecret+gh", uint64(1), "before %4", "& after")
	f.Fuzz(func(t *testing.T, secret string, seed uint64, before, after string) {
		random := rand.New(rand.NewPCG(seed, 0))
		if len(secret) < minCut || strings.Contains(blank, secret) || strings.ContainsAny(secret, "<>\x00\ufffd") || strings.ToValidUTF8(secret, "") != secret {
			return
		}
		var v SecretStore
		for i := range 20 {
			v.Remember(fmt.Sprint("other-", i, random.Uint64()))
		}
		v.Remember(secret)
		for what, text := range encodings(secret) {
			if strings.ContainsAny(before, "%\\&") && what != "itself" {
				continue // the end of the text before the secret can form an escape sequence with the first characters of the secret
			}
			shown := v.Scrub(before + " " + text + " " + after)
			if strings.Contains(shown, text) && !strings.Contains(before+" "+after, text) {
				t.Errorf("%s: %q is left in %q", what, text, shown)
			}
		}
	})
}

func BenchmarkScrub(b *testing.B) {
	line := `time=2026-01-02T03:04:05Z level=ERROR msg="run failed" job=api error="GET https://api.example.com/v1: 401 Unauthorized: {\"message\":\"bad key\"}"`
	for _, secrets := range []int{1, 100, 2 * maxKnown} {
		b.Run(fmt.Sprint(secrets), func(b *testing.B) {
			var v SecretStore
			random := rand.New(rand.NewPCG(1, 2))
			for range secrets {
				v.Remember(fmt.Sprintf("eyJhbGciOiJIUzI1NiJ9.%x%x%x", random.Uint64(), random.Uint64(), random.Uint64()))
			}
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				v.Scrub(line)
			}
		})
	}
	b.Run("all begin alike", func(b *testing.B) {
		var v SecretStore
		for i := range 2 * maxKnown {
			v.Remember(fmt.Sprintf("eyJhbGciOiJIUzI1NiJ9.%d", i))
		}
		text := strings.Repeat("eyJhbGciOiJIUzI1NiJ9. ", 1000)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			v.Scrub(text)
		}
	})
}
