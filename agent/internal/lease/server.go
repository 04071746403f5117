package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// ServiceAccount is the directory in which a pod finds the token of its service account.
const ServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// Server reads and writes a lease by requests to the API server.
type Server struct {
	Name   string // name of the lease
	client *httpclient.Client
	list   string // URL of the leases of the namespace
}

// maxLease is the maximum size of a response. A lease has less than a kilobyte, unless somebody has added annotations.
const maxLease = 1 << 20

// errMissing is the error of a request for a lease that does not exist. errConflict is the error of a write if the lease has changed in
// the meantime.
var (
	errMissing  = errors.New("there is no such lease")
	errConflict = errors.New("another process has written the lease")
)

// InCluster returns the server of a lease in the namespace of this pod. The directory in the argument "account" has the token, the
// certificate of the API server's authority and the namespace. The token is read again for each request, because Kubernetes renews it.
func InCluster(name, account string, host *httpclient.Host) (*Server, error) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`).MatchString(name) {
		return nil, fmt.Errorf("%q cannot be the name of a lease: want lower-case letters, digits, - and . (as in metadata.name of Kubernetes)", name)
	}
	address, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if address == "" || port == "" {
		return nil, errors.New("a lease needs a pod of Kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	namespace, err := os.ReadFile(filepath.Join(account, "namespace"))
	if err != nil {
		return nil, fmt.Errorf("a lease needs the token of a service account (automountServiceAccountToken: true): %w", err)
	}
	client, err := host.Client(&httpclient.Settings{
		Authorization: &httpclient.Authorization{Credentials: setting.Secret("file:" + filepath.Join(account, "token"))},
		// A connection of HTTP/1 is closed when a request on it times out. A connection of HTTP/2 would be used for longer than a lease
		// lasts, even if the API server no longer answers on it.
		TLS: &httpclient.TLS{CAFile: filepath.Join(account, "ca.crt"), HTTP1Only: true},
	})
	if err != nil {
		return nil, err
	}
	base := url.URL{Scheme: "https", Host: net.JoinHostPort(address, port)}
	return &Server{
		Name: name, client: client,
		list: base.JoinPath("apis/coordination.k8s.io/v1/namespaces", strings.TrimSpace(string(namespace)), "leases").String(),
	}, nil
}

// spec is what a process writes.
type spec struct {
	holder            string // "" = none
	transitions       int64
	acquired, renewed time.Time // zero acquired = the lease keeps its acquire time
}

// microTime is the format of times of a lease.
const microTime = "2006-01-02T15:04:05.000000Z07:00"

// body returns a merge patch (RFC 7386), which leaves everything else of the lease as it is. The API server refuses the patch if the
// version is not the current one.
func (s spec) body(version string) []byte {
	fields := map[string]any{
		"holderIdentity": nil, "leaseDurationSeconds": int(Duration.Seconds()), "leaseTransitions": s.transitions, "renewTime": s.renewed.UTC().Format(microTime),
	}
	if s.holder != "" {
		fields["holderIdentity"] = s.holder
	}
	if !s.acquired.IsZero() {
		fields["acquireTime"] = s.acquired.UTC().Format(microTime)
	}
	body, _ := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": version}, "spec": fields})
	return body
}

func (s *Server) get(ctx context.Context) (*record, error) {
	return s.send(ctx, http.MethodGet, s.list+"/"+s.Name, nil)
}

// create creates a lease that no process holds.
func (s *Server) create(ctx context.Context) (*record, error) {
	body, _ := json.Marshal(map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": s.Name}, "spec": map[string]any{},
	})
	return s.send(ctx, http.MethodPost, s.list, body)
}

// write writes the lease, if its version is still the given one. Otherwise it returns errConflict.
func (s *Server) write(ctx context.Context, version string, next spec) (*record, error) {
	return s.send(ctx, http.MethodPatch, s.list+"/"+s.Name, next.body(version))
}

func (s *Server) send(ctx context.Context, method, url string, body []byte) (*record, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	switch method {
	case http.MethodPost:
		req.Header.Set("Content-Type", "application/json")
	case http.MethodPatch:
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.DoAnyStatus(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	switch {
	case resp.StatusCode == http.StatusConflict:
		return nil, errConflict
	case resp.StatusCode == http.StatusNotFound && method != http.MethodPost:
		return nil, errMissing
	case resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%w: give the service account a role with the verbs get and patch on this lease, and create on leases (lease.enabled of the chart does that)", resp.StatusError())
	case resp.StatusCode/100 != 2:
		return nil, resp.StatusError()
	}
	text, err := resp.ReadBody(nil, httpclient.Limit{Bytes: maxLease})
	if err != nil {
		return nil, err
	}
	r, err := decode(text)
	if err != nil {
		return nil, resp.Wrap(err)
	}
	return r, nil
}

// record is a lease as the API server returns it.
type record struct {
	uid         string // identifies the object: a lease that is deleted and created again has another
	version     string // changes with each write
	holder      string // identity of the holder; "" = none
	duration    time.Duration
	transitions int64 // how many times a process has taken the lease from another
	renewed     string
}

// Limits of what a lease may have.
const (
	maxText     = 1024
	maxDuration = time.Hour
)

// decode decodes a lease. Its texts and numbers are within limits.
func decode(text []byte) (*record, error) {
	var o struct {
		Metadata struct{ UID, ResourceVersion string }
		Spec     struct {
			HolderIdentity, RenewTime string
			LeaseDurationSeconds      *int64
			LeaseTransitions          int64
		}
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("the response is not a lease: %w", err)
	}
	r := &record{
		uid: o.Metadata.UID, version: o.Metadata.ResourceVersion, holder: o.Spec.HolderIdentity, duration: Duration,
		transitions: o.Spec.LeaseTransitions, renewed: o.Spec.RenewTime,
	}
	if r.uid == "" || r.version == "" || r.transitions < 0 || max(len(r.uid), len(r.version), len(r.holder), len(r.renewed)) > maxText {
		return nil, errors.New("the response is not a lease")
	}
	if d := o.Spec.LeaseDurationSeconds; d != nil && (*d < 1 || *d > int64(maxDuration/time.Second)) {
		return nil, fmt.Errorf("the lease has leaseDurationSeconds: %d, want 1 to %d: another program uses it", *d, int64(maxDuration/time.Second))
	} else if d != nil {
		r.duration = time.Duration(*d) * time.Second
	}
	return r, nil
}

// term returns the number of the term in which the holder holds the lease, or has held it.
func (r *record) term() string { return r.uid + "/" + strconv.FormatInt(r.transitions, 10) }

// host returns the host of the holder.
func (r *record) host() string {
	host, _, _ := strings.Cut(r.holder, "_")
	return host
}
