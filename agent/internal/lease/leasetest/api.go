// Package leasetest has an API server for tests, which keeps leases as the API server of Kubernetes does.
package leasetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// API is an http.Handler for the leases of all namespaces. A request needs the token, unless it is "".
type API struct {
	mu       sync.Mutex
	token    string
	versions int
	uids     int
	leases   map[string]map[string]any // by path
	requests map[string]int            // by method
}

// New returns an API server without leases.
func New(token string) *API {
	return &API{token: token, leases: map[string]map[string]any{}, requests: map[string]int{}}
}

// SetToken replaces the token. Requests with the old one are refused.
func (a *API) SetToken(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
}

// Delete deletes all leases.
func (a *API) Delete() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.leases)
}

// Annotate changes an annotation of all leases, which holders of leases must ignore.
func (a *API) Annotate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, o := range a.leases {
		a.store(at, merge(o, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"n": strconv.Itoa(a.versions)}}}))
	}
}

// Holder returns the holder of the lease with this name, "" if there is none.
func (a *API) Holder(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, o := range a.leases {
		if path.Base(at) == name {
			spec, _ := o["spec"].(map[string]any)
			holder, _ := spec["holderIdentity"].(string)
			return holder
		}
	}
	return ""
}

// Requests returns the number of requests by method.
func (a *API) Requests() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.requests)
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	code, answer := a.answer(r, body)
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

// answer returns the answer to a request. The caller holds mu.
func (a *API) answer(r *http.Request, body []byte) (code int, answer map[string]any) {
	a.requests[r.Method]++
	if a.token != "" && r.Header.Get("Authorization") != "Bearer "+a.token {
		return failure(http.StatusUnauthorized, "Unauthorized")
	}
	if !strings.HasPrefix(r.URL.Path, "/apis/coordination.k8s.io/v1/namespaces/") {
		return failure(http.StatusForbidden, fmt.Sprintf("leases.coordination.k8s.io is forbidden: cannot %s %s", strings.ToLower(r.Method), r.URL.Path))
	}
	given := map[string]any{}
	if r.Method != http.MethodGet {
		if err := json.Unmarshal(body, &given); err != nil {
			return failure(http.StatusBadRequest, err.Error())
		}
	}
	meta, _ := given["metadata"].(map[string]any)
	at := r.URL.Path
	if r.Method == http.MethodPost {
		name, _ := meta["name"].(string)
		at = path.Join(at, name)
	}
	o, exists := a.leases[at]
	switch {
	case r.Method == http.MethodPost && exists:
		return failure(http.StatusConflict, "leases.coordination.k8s.io already exists")
	case r.Method == http.MethodPost:
		a.uids++
		return http.StatusCreated, a.store(at, merge(given, map[string]any{"metadata": map[string]any{"uid": fmt.Sprintf("uid-%d", a.uids)}}))
	case !exists:
		return failure(http.StatusNotFound, "leases.coordination.k8s.io not found")
	case r.Method == http.MethodGet:
		return http.StatusOK, o
	case r.Method != http.MethodPatch || r.Header.Get("Content-Type") != "application/merge-patch+json":
		return failure(http.StatusUnsupportedMediaType, "the body of the request was in an unknown format")
	}
	if version := meta["resourceVersion"]; version != nil && version != o["metadata"].(map[string]any)["resourceVersion"] {
		return failure(http.StatusConflict, "the object has been modified; please apply your changes to the latest version and try again")
	}
	return http.StatusOK, a.store(at, merge(o, given))
}

// store stores a lease with a new version. The caller holds mu.
func (a *API) store(at string, o map[string]any) map[string]any {
	a.versions++
	o = merge(o, map[string]any{"metadata": map[string]any{"resourceVersion": strconv.Itoa(a.versions)}})
	a.leases[at] = o
	return o
}

func failure(code int, message string) (int, map[string]any) {
	return code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
}

// merge returns a copy of o to which a merge patch (RFC 7386) was applied. It does not modify its arguments.
func merge(o, patch map[string]any) map[string]any {
	out := maps.Clone(o)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range patch {
		if value == nil {
			delete(out, key)
			continue
		}
		if inner, is := value.(map[string]any); is {
			was, _ := out[key].(map[string]any)
			value = merge(was, inner)
		}
		out[key] = value
	}
	return out
}
