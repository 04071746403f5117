package agent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// authAPI gives the tokens s3ss10n-1, s3ss10n-2, … for the password s3cr3t-key. It gives data only for its newest token.
type authAPI struct {
	*httptest.Server
	key *ecdsa.PrivateKey // the owner of the key gets tokens for assertions that are signed with it

	mu      sync.Mutex
	logins  int
	logouts int
	ended   int // number of the login whose session has ended
	refused int
	refresh int // number of the refresh token that is accepted next
}

func newAuthAPI(env *testscript.Env) *authAPI {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	env.Setenv("JWT_KEY", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})))
	a := &authAPI{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/session", a.session)
	mux.HandleFunc("/form", a.form)
	mux.HandleFunc("/token", a.token)
	mux.HandleFunc("/data", a.data)
	mux.HandleFunc("/logout", a.logout)
	mux.HandleFunc("/cookies", a.cookies)
	mux.HandleFunc("/count", a.count)
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if a.in(w, r) {
			written(w, r)
		}
	})
	mux.HandleFunc("/data-of-nobody", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not for "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	})
	mux.HandleFunc("/html", text200("text/html", "<!DOCTYPE html><title>Log in</title>s3ss10n-0"))
	mux.HandleFunc("/odd", text200("application/json", `{"acces_token": "s3ss10n-0", "expires": "soon", "s3ss10n-0-and-a-name-that-is-too-long": 1}`))
	mux.HandleFunc("/huge", text200("application/json", `{"token": "`+strings.Repeat("s3ss10n", 1<<17)+`"}`))
	a.Server = httptest.NewServer(mux)
	env.Defer(a.Close)
	return a
}

func text200(kind, body string) http.HandlerFunc { return text(200, kind, body) }

// next returns a new token. The previous token is then no longer valid.
func (a *authAPI) next() string {
	a.logins++
	return fmt.Sprintf("s3ss10n-%d", a.logins)
}

func (a *authAPI) session(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var who struct{ User, Password string }
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &who) != nil || who.User != "ops" || who.Password != "s3cr3t-key" {
		a.refused++
		http.Error(w, fmt.Sprintf("wrong password, %d times: %s", a.refused, body), http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, `{"data": {"token": %q, "ttl": 3600}}`, a.next())
}

func (a *authAPI) form(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.PostFormValue("password") != "s3cr3t-key" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: a.next(), MaxAge: 600, HttpOnly: true})
	http.Redirect(w, r, "/html", http.StatusSeeOther)
}

// token is a token server that accepts each refresh token once: first s3cr3t-key, then r3fr3sh-1, r3fr3sh-2, …
func (a *authAPI) token(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	good, more := false, ""
	switch r.PostFormValue("grant_type") {
	case "password":
		good = r.PostFormValue("username") == "ops" && r.PostFormValue("password") == "s3cr3t-key"
	case "refresh_token":
		want := "s3cr3t-key"
		if a.refresh > 0 {
			want = fmt.Sprintf("r3fr3sh-%d", a.refresh)
		}
		if good = r.PostFormValue("refresh_token") == want; good {
			a.refresh++
			more = fmt.Sprintf(`, "refresh_token": "r3fr3sh-%d"`, a.refresh)
		}
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(r.PostFormValue("assertion"), claims,
			func(*jwt.Token) (any, error) { return &a.key.PublicKey, nil }, jwt.WithExpirationRequired(), jwt.WithAudience(a.URL+"/token"))
		good = err == nil && claims["iss"] == "ops@example.com" && claims["scope"] == "read list"
	}
	if !good {
		a.refused++
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": "refused %d times"}`, a.refused)
		return
	}
	fmt.Fprintf(w, `{"access_token": %q, "token_type": "bearer", "expires_in": 3600%s}`, a.next(), more)
}

// logout ends the session of the request.
func (a *authAPI) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodDelete || !a.in(w, r) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logouts++
	a.ended = a.logins
	w.WriteHeader(http.StatusNoContent)
}

// cookies is a form login that sets its cookie several times, as servers behind a proxy do. The last cookie is the valid one. A cookie that
// was deleted is not valid.
func (a *authAPI) cookies(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range []http.Cookie{
		{Name: "session", Value: "before-login"},
		{Name: "session", Value: "gone", Path: "/old"},
		{Name: "session", Value: a.next()},
		{Name: "session", Value: "gone", Path: "/old", MaxAge: -1},
		{Name: "other", Value: "x"},
	} {
		http.SetCookie(w, &c)
	}
}

// count returns how many logins and logouts there were.
func (a *authAPI) count(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(w, `{"logins": %d, "logouts": %d}`, a.logins, a.logouts)
}

// in reports whether the request has the newest token, at any of the places where it may be. If the result is false, the function has
// already answered the request.
func (a *authAPI) in(w http.ResponseWriter, r *http.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Session") + r.URL.Query().Get("access_token")
	if c, err := r.Cookie("session"); err == nil {
		got += c.Value
	}
	if a.logins == a.ended || got != fmt.Sprintf("s3ss10n-%d", a.logins) {
		http.Error(w, "no such session: "+got, http.StatusUnauthorized)
		return false
	}
	return true
}

func (a *authAPI) data(w http.ResponseWriter, r *http.Request) {
	if a.in(w, r) {
		a.mu.Lock()
		defer a.mu.Unlock()
		fmt.Fprintf(w, `{"total": 3, "logins": %d}`, a.logins)
	}
}
