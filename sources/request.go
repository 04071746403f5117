package sources

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Request says how a request differs from the request in a fetcher's settings. The zero value is the request in the settings.
type Request struct {
	// URL is absolute, or relative to the URL of the settings. "" = the URL of the settings. If URL is set, the query and the body
	// of the settings are not used.
	URL    string
	Method string // "" = POST if there is a body; otherwise the method of the settings if URL is not set, else GET

	// Query, if not nil, replaces the query of the settings. Parameters that refer to secrets are kept, since they are credentials.
	Query   []Parameter
	Headers []Parameter // added to the headers of the settings; they replace headers of the same name
	Body    *string     // nil = the body of the settings
}

// Parameter is a name and a value.
type Parameter struct{ Name, Value string }

// IsZero reports whether no field is set: the request is then the one of the settings, without changes.
func (r *Request) IsZero() bool {
	return r.URL == "" && r.Method == "" && r.Query == nil && len(r.Headers) == 0 && r.Body == nil
}

// Key returns a text that is equal for equal requests.
func (r *Request) Key() string {
	key := fmt.Sprintf("%q %q %q %t %q", r.URL, r.Method, r.Query, r.Query != nil, r.Headers)
	if r.Body != nil {
		key += fmt.Sprintf(" %q", *r.Body)
	}
	return key
}

// ErrFixedRequest is the error of a fetcher that accepts only the request of its settings.
var ErrFixedRequest = errors.New("the job's fetcher sends only the request of its settings: for other requests, use http")

// WithHalfTime returns a context that ends after half of the time until the deadline of ctx. A source uses it for each request
// other than the one in the settings. So a slow URL only fails the metrics that need it, not the whole tick.
func WithHalfTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	half := time.Until(end) / 2
	why := fmt.Errorf("no response within %s, half of the time that the run had left: raise timeout of the job", half.Round(time.Millisecond))
	return context.WithTimeoutCause(ctx, half, why)
}
