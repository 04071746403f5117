package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/collectington/collectington/agent/httpclient"
)

const byRefresh = `oauth2: {client_id: ops, refresh_token: "env:REFRESH", token_url: "http://login.example/token", token_file: kept}`

// rotating makes the server accept each refresh token once: refresh-0, refresh-1, …
func (w *world) rotating() {
	w.env["REFRESH"] = "refresh-0"
	last := 0
	w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
		rw.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("refresh_token") != fmt.Sprint("refresh-", last) {
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(rw, `{"error": "invalid_grant", "error_description": "not %s"}`, r.PostFormValue("refresh_token"))
			return
		}
		last++
		fmt.Fprintf(rw, `{"access_token": "token-%d", "token_type": "bearer", "expires_in": 3600, "refresh_token": "refresh-%d"}`, n, last)
	}
}

// restart returns a client with a new provider that knows no tokens, as in a new process.
func (w *world) restart(t *testing.T) *httpclient.Client {
	t.Helper()
	again := newWorld(t, byRefresh)
	w.host.Providers = again.host.Providers
	return w.client(t)
}

func TestRotatedRefreshTokenSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, byRefresh)
		w.rotating()
		file := filepath.Join(w.host.Secrets.Dir, "kept")
		client := w.client(t)
		for n := 1; n <= 3; n++ {
			w.want(t, client, fmt.Sprint("Bearer token-", n), n)
			if text, _ := os.ReadFile(file); !strings.Contains(string(text), fmt.Sprintf(`"refresh-%d"`, n)) {
				t.Errorf("after %d logins the file holds %s", n, text)
			}
			time.Sleep(time.Hour)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file has mode %v, %v", info.Mode(), err)
		}
		client = w.restart(t)
		w.want(t, client, "Bearer token-4", 4)

		other := w.restart(t) // another process, such as cton try
		w.want(t, other, "Bearer token-5", 5)
		time.Sleep(time.Hour)
		w.want(t, client, "Bearer token-6", 6)
		w.leaks(t, "")
		if all, _ := filepath.Glob(filepath.Join(w.host.Secrets.Dir, ".*")); len(all) != 0 {
			t.Errorf("files are left over: %v", all)
		}
	})
}

func TestNewRefreshTokenInTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, byRefresh)
		w.rotating()
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		w.set(func() { w.env["REFRESH"] = "refresh-wrong" })
		w.wantError(t, client, "auth.cloud: POST http://login.example/token: 400 Bad Request: invalid_grant: not <secret>", 2)
		w.set(func() { w.env["REFRESH"] = "refresh-1" })
		w.want(t, client, "Bearer token-3", 3)
		w.want(t, w.restart(t), "Bearer token-4", 4)
	})
}

// TestTokenFileCannotBeWritten checks that a refresh token is not spent while its successor cannot be saved. If saving a successor fails,
// the successor must be kept in memory and saved later.
func TestTokenFileCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(byRefresh, "kept", "gone/kept", 1))
		w.rotating()
		folder := filepath.Join(w.host.Secrets.Dir, "gone")
		rotate := w.answer
		client := w.client(t)
		w.wantError(t, client, "auth.cloud: oauth2.token_file: open "+folder, 0)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		w.set(func() {
			w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
				os.RemoveAll(folder)
				rotate(rw, r, n)
			}
		})
		time.Sleep(time.Minute)
		w.wantError(t, client, "after a restart there would be no valid refresh token", 1)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.answer = rotate })
		time.Sleep(time.Minute)
		w.want(t, client, "Bearer token-2", 2)
		if text, _ := os.ReadFile(filepath.Join(folder, "kept")); !strings.Contains(string(text), `"refresh-2"`) {
			t.Errorf("the file holds %s", text)
		}
	})
}

// TestTokenFileCannotBeReplaced checks that the token in memory is used if it is newer than the token in the file.
func TestTokenFileCannotBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, byRefresh)
		w.rotating()
		rotate := w.answer
		file := filepath.Join(w.host.Secrets.Dir, "kept")
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w.set(func() {
			w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
				os.Remove(file)
				os.Mkdir(file, 0o700)
				rotate(rw, r, n)
			}
		})
		time.Sleep(time.Hour)
		w.wantError(t, client, "oauth2.token_file: rename", 2)
		w.set(func() { w.answer = rotate })
		time.Sleep(time.Minute)
		w.wantError(t, client, "oauth2.token_file: "+file+" is not a regular file: name a file", 2)
		os.Remove(file)
		if err := os.WriteFile(file, old, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.want(t, client, "Bearer token-3", 3)
	})
}

func TestDamagedTokenFile(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"refresh_token": "refresh-`, "plain": "refresh-1", "null": "null"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, byRefresh)
			w.rotating()
			file := filepath.Join(w.host.Secrets.Dir, "kept")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.wantError(t, w.client(t), "auth.cloud: oauth2.token_file: "+file+" is damaged, or not a token file: delete it", 0)
			if after, _ := os.ReadFile(file); string(after) != text {
				t.Errorf("%s: the file was changed to %s", name, after)
			}
		})
	}
}

// TestWrongPasswordIsTriedOnce checks that a wrong password is sent only once, although there are two ways to send the client's
// secret: servers lock users out after a few attempts.
func TestWrongPasswordIsTriedOnce(t *testing.T) {
	const settings = `oauth2: {client_id: c, client_secret: "env:SECRET", username: ops, password: "env:PASSWORD", token_url: "http://login.example/token"}`
	for _, c := range []struct {
		status int
		code   string
		want   int
	}{{400, "invalid_grant", 1}, {401, "invalid_grant", 1}, {400, "invalid_client", 2}, {400, "", 1}, {401, "", 2}, {503, "", 1}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, settings)
			w.env["SECRET"] = "hunter00"
			w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
				id, secret, header := r.BasicAuth()
				if !header {
					id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
				}
				if id != "c" || secret != "hunter00" || header == (n == 2) || r.PostFormValue("username") != "ops" || r.PostFormValue("password") != "hunter22" {
					t.Errorf("login %d has client %s, %s, header %t, %s", n, id, secret, header, r.PostForm)
				}
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(c.status)
				fmt.Fprintf(rw, `{"error": %q}`, c.code)
			}
			w.wantError(t, w.client(t), "auth.cloud: POST http://login.example/token: "+strconv.Itoa(c.status), c.want)
		})
	}
}

func TestJWTBearer(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384())} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `jwt_bearer: {key: "env:KEY", key_id: k1, issuer: me, subject: you, claims: {tenant: "env:PASSWORD"}, scopes: [a, b], token_url: "http://login.example/token"}`)
			w.env["KEY"] = pemOf(t, key)
			seen := map[string]bool{}
			w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
				claims := jwt.MapClaims{}
				token, err := jwt.ParseWithClaims(r.PostFormValue("assertion"), claims, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{want}))
				if err != nil {
					t.Error(err)
				}
				id := claims["jti"].(string)
				if seen[id] {
					t.Error("two assertions have the same jti")
				}
				seen[id] = true
				delete(claims, "jti")
				got := fmt.Sprint(r.PostFormValue("grant_type"), token.Header["kid"], r.PostFormValue("scope"), r.PostFormValue("client_id"), claims)
				now := float64(time.Now().Unix())
				if right := fmt.Sprint(jwtGrant, "k1", "a b", "", map[string]any{
					"iss": "me", "sub": "you", "aud": "http://login.example/token", "scope": "a b", "tenant": "hunter22", "iat": now, "exp": now + 300,
				}); got != right {
					t.Errorf("got  %s\nwant %s", got, right)
				}
				rw.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(rw, `{"access_token": "token-%d", "token_type": "bearer", "expires_in": 60}`, n)
			}
			client := w.client(t)
			w.want(t, client, "Bearer token-1", 1)
			time.Sleep(time.Minute)
			w.want(t, client, "Bearer token-2", 2)
			w.set(func() { w.env["KEY"] = "-----BEGIN hunter22" })
			w.wantError(t, client, "auth.cloud: jwt_bearer.key: env:KEY: want a private key of RSA, P-256 or P-384 in PEM, without a passphrase", 2)
			w.set(func() { w.env["KEY"] = pemOf(t, ecKey(t, elliptic.P521())) })
			w.wantError(t, client, "want a key of P-256 or P-384, got one with 521 bits", 2)
		})
	}
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, key crypto.Signer) string {
	t.Helper()
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}
