package sources

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Request is what differs from the request of a fetcher's settings. The zero value is the request of the settings.
type Request struct {
	// URL is absolute, or relative to that of the settings; "" = that of the settings. A request with a URL has neither the
	// query nor the body of the settings.
	URL    string
	Method string // "" = POST with a body; otherwise that of the settings with their URL, and GET with another

	// Query, if not nil, replaces the query of the settings, except references to secrets, which are credentials.
	Query   []Parameter
	Headers []Parameter // added to those of the settings; they replace those of the same name
	Body    *string     // nil = that of the settings
}

// Parameter is a name and a value.
type Parameter struct{ Name, Value string }

// IsZero reports whether the request is the one of the settings.
func (r *Request) IsZero() bool {
	return r.URL == "" && r.Method == "" && r.Query == nil && len(r.Headers) == 0 && r.Body == nil
}

// Key returns the same text for two requests that are the same.
func (r *Request) Key() string {
	key := fmt.Sprintf("%q %q %q %t %q", r.URL, r.Method, r.Query, r.Query != nil, r.Headers)
	if r.Body != nil {
		key += fmt.Sprintf(" %q", *r.Body)
	}
	return key
}

// ErrFixedRequest is the error of a fetcher that accepts only the request of its settings.
var ErrFixedRequest = errors.New("the job's fetcher sends only the request of its settings: for other requests, use http")

// WithHalfTime returns a context that ends after half of the time that ctx has left. A source uses it for each request other than
// the one of the settings. So a slow address fails what needs it, and not the whole tick.
func WithHalfTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	half := time.Until(end) / 2
	why := fmt.Errorf("no response within %s, half of the time that the run had left", half.Round(time.Millisecond))
	return context.WithTimeoutCause(ctx, half, why)
}
