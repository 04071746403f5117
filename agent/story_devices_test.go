package agent_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// devices are servers with the same kinds of logins as real devices and appliances. The password is s3cr3t-key.
type devices struct {
	*httptest.Server

	mu        sync.Mutex
	challenge string // of the router
	session   int    // of the download program
	partition string // of the load balancer
}

// newPlugs starts two equal devices with separate sessions. Stories know their addresses as $PLUG1 and $PLUG2.
func newPlugs(env *testscript.Env) {
	for n := 1; n <= 2; n++ {
		var mu sync.Mutex
		session, logouts, closed := 0, 0, false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			cookie, _ := r.Cookie("sid")
			in := cookie != nil && cookie.Value == fmt.Sprintf("s3ss10n-of-plug-%d-%d", n, session)
			switch {
			case r.URL.Path == "/count":
				fmt.Fprintf(w, `{"logins": %d, "logouts": %d}`, session, logouts)
			case r.URL.Path == "/close": // from now on the password is another one
				session, closed = session+1, true
				fmt.Fprint(w, "{}")
			case r.URL.Path == "/login" && !closed && r.PostFormValue("password") == "s3cr3t-key":
				session++
				http.SetCookie(w, &http.Cookie{Name: "sid", Value: fmt.Sprintf("s3ss10n-of-plug-%d-%d", n, session)})
				http.Redirect(w, r, "/", http.StatusFound)
			case !in:
				http.Error(w, "no", http.StatusForbidden)
			case r.URL.Path == "/logout":
				logouts++
			default:
				fmt.Fprintf(w, `{"power": %d}`, n)
			}
		}))
		env.Defer(server.Close)
		env.Setenv(fmt.Sprint("PLUG", n), server.URL)
		env.Setenv(fmt.Sprint("PLUG", n, "_HOST"), strings.TrimPrefix(server.URL, "http://"))
	}
}

func newDevices(env *testscript.Env) *devices {
	d := &devices{}
	mux := http.NewServeMux()
	mux.HandleFunc("/router/login", d.router)
	mux.HandleFunc("/router/data", d.routerData)
	mux.HandleFunc("POST /console/login", d.console)
	mux.HandleFunc("POST /console/data", d.consoleData)
	mux.HandleFunc("/downloads", d.downloads)
	mux.HandleFunc("/page/login", d.page)
	mux.HandleFunc("POST /balancer/login", d.balancer)
	mux.HandleFunc("POST /balancer/switch", d.balancerSwitch)
	mux.HandleFunc("/balancer/data", d.balancerData)
	d.Server = httptest.NewServer(mux)
	env.Defer(d.Close)
	return d
}

// router is a login like that of the FRITZ!Box: it wants an answer to a challenge, computed with PBKDF2 in two rounds, and sends XML.
func (d *devices) router(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	sid := "0000000000000000"
	if response := r.PostFormValue("response"); response != "" {
		one, _ := pbkdf2.Key(sha256.New, "s3cr3t-key", []byte{0x5a, 0x17}, 6000, 32)
		two, _ := pbkdf2.Key(sha256.New, string(one), []byte{0x5a, 0x18}, 600, 32)
		if d.challenge != "" && response == "5a18$"+hex.EncodeToString(two) && r.PostFormValue("username") == "ops" {
			sid = "a1b2c3d4e5f60718"
		}
	}
	d.challenge = "2$6000$5a17$600$5a18"
	fmt.Fprintf(w, `<?xml version="1.0"?><SessionInfo><SID>%s</SID><Challenge>%s</Challenge></SessionInfo>`, sid, d.challenge)
}

func (d *devices) routerData(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sid") != "a1b2c3d4e5f60718" {
		http.Error(w, "no session", http.StatusForbidden)
		return
	}
	fmt.Fprint(w, `{"power": 12.5}`)
}

// console answers a login as UniFi OS does: with a cookie, and with a token that each POST must have in a header.
func (d *devices) console(w http.ResponseWriter, r *http.Request) {
	var who struct{ Username, Password string }
	if json.NewDecoder(r.Body).Decode(&who) != nil || who.Password != "s3cr3t-key" {
		http.Error(w, "{}", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "TOKEN", Value: "c00kie-of-the-console", Path: "/"})
	w.Header().Set("X-CSRF-Token", "csrf-0f-the-console")
	fmt.Fprint(w, `{"id": 1}`)
}

func (d *devices) consoleData(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie("TOKEN")
	if err != nil || cookie.Value != "c00kie-of-the-console" || r.Header.Get("X-CSRF-Token") != "csrf-0f-the-console" {
		http.Error(w, "Invalid CSRF Token", http.StatusForbidden)
		return
	}
	fmt.Fprint(w, `{"clients": 7}`)
}

// downloads gives a session ID when it refuses a request, as Transmission does. It ends the session after two requests; Transmission may
// end one at any time.
func (d *devices) downloads(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Header.Get("X-Transmission-Session-Id") != fmt.Sprintf("s3ss10n-of-downloads-%d", d.session/2) {
		w.Header().Set("X-Transmission-Session-Id", fmt.Sprintf("s3ss10n-of-downloads-%d", d.session/2))
		http.Error(w, "409: Conflict", http.StatusConflict)
		return
	}
	d.session++
	fmt.Fprintf(w, `{"torrents": %d}`, d.session)
}

// page is a login page whose form has a hidden field. It already sets a session cookie before the login.
func (d *devices) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s3ss10n-of-nobody"})
		fmt.Fprint(w, `<html><form><input type="hidden" name="csrf" value="h1dden-field"></form></html>`)
		return
	}
	cookie, err := r.Cookie("session")
	if err != nil || cookie.Value != "s3ss10n-of-nobody" || r.PostFormValue("csrf") != "h1dden-field" || r.PostFormValue("password") != "s3cr3t-key" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "s3ss10n-of-ops"})
	http.Redirect(w, r, "/", http.StatusFound)
}

// balancer is a load balancer with partitions. A session sees a partition only after the session has switched to it.
func (d *devices) balancer(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.partition = ""
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"sessionid": "s3ss10n-of-the-balancer"}`)
}

func (d *devices) balancerSwitch(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var to struct{ Partition string }
	if json.NewDecoder(r.Body).Decode(&to) == nil && r.Header.Get("Authorization") == "Bearer s3ss10n-of-the-balancer" {
		d.partition = to.Partition
	}
}

func (d *devices) balancerData(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer s3ss10n-of-the-balancer" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, `{"partition": %q, "connections": 3}`, d.partition)
}
