package setting

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSecretIsAReference(t *testing.T) {
	for text, ok := range map[string]bool{
		"env:API_KEY": true, "file:/run/secrets/x": true, "file:rel/x": true, "file:/x#KEY": true,
		"": false, "hunter22": false, "env:": false, "env:A B": false, "env:A=b": false, "file:": false, "file:#KEY": false,
		"file:/x#": false, "ENV:A": false, "vault:x": false,
	} {
		var s Secret
		err := s.UnmarshalText([]byte(text))
		if (err == nil) != ok {
			t.Errorf("secret %q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestTextIsItselfOrAReference(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "plain": true, "env:KEY": true, "envelope": true, "file:/x": true, "env:": false, "file:": false, "file:/x#": false,
	} {
		var s Text
		if err := s.UnmarshalText([]byte(text)); (err == nil) != ok {
			t.Errorf("text %q: %v", text, err)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", Text("hunter22"), "b", Text("env:KEY"))
	if strings.Contains(log.String(), "hunter22") || !strings.Contains(log.String(), "env:KEY") {
		t.Errorf("logged %s", &log)
	}
}

func TestSecretStoreReads(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plain"), "hunter22\r\n")
	write(t, filepath.Join(dir, "lines"), "# A=comment\nexport TOKEN = \"quoted value\"\nBARE=x=y\nSINGLE='it'\nEMPTY=\nHALF=\"\n")
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "huge"), strings.Repeat("x", maxSecretFile+1))
	v := &SecretStore{Dir: dir, LookupEnv: func(name string) (string, bool) {
		value, ok := map[string]string{"KEY": "from env", "NONE": ""}[name]
		return value, ok
	}}
	for ref, want := range map[string]string{
		"env:KEY": "from env", "file:plain": "hunter22", joined("file:", dir, "/plain"): "hunter22",
		"file:lines#TOKEN": "quoted value", "file:lines#BARE": "x=y", "file:lines#SINGLE": "it", "file:lines#HALF": `"`,
	} {
		if got, err := v.Secret(Secret(ref)); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", ref, got, err, want)
		}
	}
	for ref, want := range map[string]string{
		"env:NONE": "NONE is not set", "env:GONE": "GONE is not set", "file:empty": "empty is empty", "file:gone": "no such file",
		"file:huge": "larger than 1MiB", "file:lines#EMPTY": "EMPTY is empty", "file:lines#A": "no line A=VALUE", "file:": "directory",
	} {
		if got, err := v.Secret(Secret(ref)); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "secret "+ref) {
			t.Errorf("%s: got %q, %v, want … %s …", ref, got, err, want)
		}
	}
	if got, err := v.Text("literal"); got != "literal" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := v.Text("env:KEY"); got != "from env" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSecretStoreKeys checks that Keys returns names only, and nothing that may be part of a value.
func TestSecretStoreKeys(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lines"), "# A=comment\nexport TOKEN = \"quoted=value\"\nBARE=x=y\nBARE=again\nc.d-e=\n=x\nnothing\nMII+/a=\n-----BEGIN a=b\n  IN = 1\r\n")
	write(t, filepath.Join(dir, "huge"), strings.Repeat("x", maxSecretFile+1))
	var many strings.Builder
	for i := range maxKeys + 5 {
		fmt.Fprintf(&many, "K%d=v\n", i)
	}
	write(t, filepath.Join(dir, "many"), many.String())
	v := &SecretStore{Dir: dir}
	if got, err := v.Keys("lines"); err != nil || strings.Join(got, " ") != "TOKEN BARE c.d-e IN" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := v.Keys("many"); err != nil || len(got) != maxKeys {
		t.Errorf("got %d names, %v", len(got), err)
	}
	for _, path := range []string{"huge", "gone", "."} {
		if got, err := v.Keys(path); err == nil {
			t.Errorf("%s: got %q", path, got)
		}
	}
	var none *SecretStore
	if got, err := none.Keys(filepath.Join(dir, "lines")); err != nil || len(got) != 4 {
		t.Errorf("without a vault: %q, %v", got, err)
	}
}

// joined joins the parts of a reference.
func joined(parts ...string) string { return strings.Join(parts, "") }

func TestSecretStoreNoticesARotatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var v SecretStore
	for _, secret := range []string{"first-secret", "second-secret"} {
		write(t, path, secret)
		if got, err := v.Secret(Secret("file:" + path)); got != secret || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if got := v.Scrub("first-secret second-secret third-secret"); got != "<secret> <secret> third-secret" {
		t.Errorf("got %q", got)
	}
}

func TestScrubKnowsTheFormsOfASecret(t *testing.T) {
	const secret = "p&ss w\"rd/+é\n<x>\\\x01😀"
	var v SecretStore
	v.Remember(secret)
	html, _ := json.Marshal(secret)
	for what, text := range map[string]string{
		"itself": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "JSON": string(html),
		"quoted": fmt.Sprintf("%q", secret), "address": "https://a.example/x?" + url.Values{"k": {secret}}.Encode(),
		"JSON of Python": `"p&ss w\"rd/+\u00e9\n<x>\\\u0001\ud83d\ude00"`, "JSON of PHP": `"p&ss w\"rd\/+\u00e9\n<x>\\\u0001\ud83d\ude00"`,
		"JSON with slashes": `"p&ss w\"rd\/+é\n<x>\\\u0001😀"`,
	} {
		got := v.Scrub("before " + text + " after")
		if !strings.Contains(got, blank) || strings.Contains(got, "rd") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %q is left as %q", what, text, got)
		}
	}
	v.RememberLogin("ops", "hunter22")
	if got := v.Scrub("Basic " + base64.StdEncoding.EncodeToString([]byte("ops:hunter22"))); got != "Basic <secret>" {
		t.Errorf("got %q", got)
	}
	if got := v.Scrub("hunter22"); got != blank {
		t.Errorf("got %q", got)
	}
}

// TestScrubKnowsAKeyWithoutItsScheme checks a secret that is the value of a header. The credential in the value is removed from a text that
// has only the credential. The other words of the value, such as the scheme, are kept.
func TestScrubKnowsAKeyWithoutItsScheme(t *testing.T) {
	for secret, key := range map[string]string{
		"Token token=k3y-of-mine": "k3y-of-mine", `Token token="k3y-of-mine"`: "k3y-of-mine", "Bearer k3y.of_mine": "k3y.of_mine",
		"token=k3y-of-mine": "k3y-of-mine", "Basic b3BzOmh1bnRlcjI=": "b3BzOmh1bnRlcjI=", "ApiKey  k3y-of-mine": "k3y-of-mine",
		"k3y-of-mine": "k3y-of-mine", "correct horse battery": "correct horse battery",
	} {
		v := SecretStore{LookupEnv: func(string) (string, bool) { return secret, true }}
		if _, err := v.Secret("env:KEY"); err != nil {
			t.Fatal(err)
		}
		text := "the Token " + key + " or Bearer, ApiKey, Basic or token: a horse"
		if got, want := v.Scrub(text), strings.Replace(text, key, blank, 1); got != want {
			t.Errorf("%s: got %q, want %q", secret, got, want)
		}
	}
}

func TestScrubTakesTheLongerSecretFirst(t *testing.T) {
	var v SecretStore
	v.Remember("token")
	v.Remember("token-and-more")
	v.Remember("abc") // too short
	if got := v.Scrub("token-and-more token abc"); got != "<secret> <secret> abc" {
		t.Errorf("got %q", got)
	}
}

func TestNilSecretStore(t *testing.T) {
	var v *SecretStore
	v.Remember("hunter22")
	v.RememberLogin("ops", "hunter22")
	if got := v.Scrub("hunter22"); got != "hunter22" {
		t.Errorf("got %q", got)
	}
	t.Setenv("SETTING_TEST_KEY", "hunter22")
	if got, err := v.Secret("env:SETTING_TEST_KEY"); got != "hunter22" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSecretStoreIsBounded checks that short-lived tokens do not fill the memory and do not displace a secret that is in use. The tokens
// come slowly in one case and quickly in the other.
func TestSecretStoreIsBounded(t *testing.T) {
	for _, c := range []struct {
		tokens, most int
		pause        time.Duration
	}{{4 * maxKnown, 2 * maxKnown, 2 * time.Second}, {3 * maxRecent, 2 * maxRecent, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var v SecretStore
			for i := range c.tokens {
				time.Sleep(c.pause)
				v.Remember(fmt.Sprintf("token-%d", i))
				v.Remember("in-daily-use")
			}
			if n := len(v.known.secrets.young.values) + len(v.known.secrets.old.values); n > c.most {
				t.Errorf("%d values are remembered, want at most %d", n, c.most)
			}
			newest := fmt.Sprintf("token-%d", c.tokens-1)
			if got := v.Scrub("in-daily-use " + newest); got != "<secret> <secret>" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestSecretStoreRemembersWhatIsInUse checks that a secret is still removed from a message ten minutes after its use. In the meantime, a
// job with many targets has used thousands of other secrets, and the jobs have computed thousands of results.
func TestSecretStoreRemembersWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v SecretStore
		v.Remember("token of the first target")
		for i := range 5000 {
			v.Remember(fmt.Sprintf("token-%d", i))
		}
		for i := range 3 * maxRecent {
			v.RememberResult(fmt.Sprintf("signature-%d", i))
		}
		time.Sleep(recent - time.Second)
		v.Remember("one more")
		text := fmt.Sprintf("token of the first target, token-4999, signature-%d", 3*maxRecent-1)
		if got := v.Scrub(text); got != "<secret>, <secret>, <secret>" {
			t.Errorf("got %q", got)
		}
		if n := len(v.known.results.young.values) + len(v.known.results.old.values); n > 2*maxKnown {
			t.Errorf("%d results are remembered", n)
		}
	})
}

// TestSecretStoreBoundsMemoryOfLongTokens checks that long tokens take no more memory than maxBytes allows for each generation. The newest
// tokens and a secret that is in use must stay known. So must maxKnown values that are longer than maxBytes.
func TestSecretStoreBoundsMemoryOfLongTokens(t *testing.T) {
	for _, c := range []struct{ tokens, length, newest int }{{5000, 1000, maxBytes / 1000}, {maxKnown, 2 * maxBytes / maxKnown, maxKnown}} {
		synctest.Test(t, func(t *testing.T) {
			var v SecretStore
			random := rand.New(rand.NewPCG(1, 2))
			var tokens []string
			for range c.tokens {
				token := make([]byte, c.length/2)
				for i := range token {
					token[i] = byte(random.Uint32())
				}
				tokens = append(tokens, hex.EncodeToString(token))
				v.Remember(tokens[len(tokens)-1])
				v.Remember("in-daily-use")
			}
			s := &v.known.secrets
			length := 0
			for _, g := range []generation{s.young, s.old} {
				for value := range g.values {
					length += len(value)
				}
			}
			if most := 2*max(maxBytes, maxKnown*c.length) + 2*c.length; length > most {
				t.Errorf("tokens of %d bytes: %d bytes are remembered, want at most %d", c.length, length, most)
			}
			for _, value := range append(tokens[len(tokens)-c.newest+1:], "in-daily-use") {
				if !s.young.values[value] && !s.old.values[value] {
					t.Fatalf("tokens of %d bytes: %.20s is forgotten", c.length, value)
				}
			}
		})
	}
}

// TestSecretStoreForgetsOldTokens checks that tokens of a busy time are forgotten when they have not been used for some time, and not before
// there are maxKnown values that were used later.
func TestSecretStoreForgetsOldTokens(t *testing.T) {
	for _, later := range []int{maxKnown - 1, maxKnown} {
		synctest.Test(t, func(t *testing.T) {
			var v SecretStore
			for i := range maxRecent {
				v.Remember(fmt.Sprintf("early-%d", i))
			}
			for i := range later {
				v.Remember(fmt.Sprintf("later-%d", i))
			}
			check := func(early string) {
				t.Helper()
				v.Remember("later-0") // as at each run of its job
				if got := v.Scrub("early-17, later-0, later-500"); got != early+", <secret>, <secret>" {
					t.Errorf("%d later values: got %q", later, got)
				}
			}
			time.Sleep(2*recent - time.Second)
			check("<secret>")
			time.Sleep(time.Second)
			if later < maxKnown {
				time.Sleep(24 * time.Hour)
				check("<secret>")
			} else {
				check("early-17")
			}
		})
	}
}

func TestSecretStoreIsSafeForConcurrentUse(t *testing.T) {
	var v SecretStore
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 50 {
				secret := fmt.Sprintf("secret-%d-%d", i, j)
				v.Remember(secret)
				if got := v.Scrub(secret); got != blank {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	all.Wait()
}

func FuzzScrub(f *testing.F) {
	f.Add("hunter22", "the password is hunter22!", "22th")
	f.Add("aaaa", "aaaaaaa", "aaaaa")
	f.Fuzz(func(t *testing.T, secret, text, other string) {
		if strings.Contains(blank, secret) || strings.Contains(blank, other) {
			return
		}
		var v SecretStore
		v.Remember(secret)
		v.Remember(other)
		got := v.Scrub(text + secret + text)
		for _, s := range []string{secret, other} {
			// The replacement <secret> can complete a secret that contains < or >.
			if len(s) >= minSecret && !strings.ContainsAny(s, "<>") && strings.Contains(got, s) {
				t.Errorf("%q is left in %q", s, got)
			}
		}
	})
}

// TestContentIsNoSecret checks that the content of a whole file is not removed from texts, and that the values of variables and of keys in
// files are removed.
func TestContentIsNoSecret(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "query.xml"), "<?xml version=\"1.0\"?>\n")
	write(t, filepath.Join(dir, "lines"), "TOKEN=hunter22\n")
	for _, standIns := range [][]string{nil, {}} {
		s := &SecretStore{Dir: dir, StandIns: standIns, LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"TOKEN": "hunter22", "query.xml": "<?xml version=\"1.0\"?>\n"}[name]
			return value, ok
		}}
		for _, ref := range []Secret{"file:query.xml", "file:lines#TOKEN", "env:TOKEN"} {
			value, err := s.Content(ref)
			if err != nil || strings.Contains(string(ref), "xml") && value != "<?xml version=\"1.0\"?>\n" {
				t.Errorf("%s: got %q, %v", ref, value, err)
			}
		}
		if got := s.Scrub("<?xml version=\"1.0\"?> hunter22"); got != "<?xml version=\"1.0\"?> <secret>" {
			t.Errorf("got %s", got)
		}
	}
}
