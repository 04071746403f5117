package sources

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Asker is a fetcher that can be asked for more than what its settings say.
type Asker interface {
	Fetcher
	// Ask gets the document that the request names. As with Fetch, it is valid until the next call of either. What the
	// settings hold of credentials and headers goes to the origin (RFC 6454) of the settings' address alone.
	Ask(ctx context.Context, tick Tick, r Request) (*Document, error)
}

// Request is what is different from the settings. The zero value is what Fetch asks for.
type Request struct {
	// URL is absolute or relative to the settings'; "" = the settings'. One that is given comes without the settings'
	// query and body.
	URL    string
	Method string // "" = POST with a body; else the settings' with the settings' URL, GET with another

	// Query, if not nil, stands in place of the settings' query. References to secrets stay, since they are credentials.
	Query   []Parameter
	Headers []Parameter // beside the settings', or in place of those of the same name
	Body    *string     // nil = the settings'
}

// Key is the same for two requests that ask the same.
func (r Request) Key() string {
	key := fmt.Sprintf("%q %q %q %t %q", r.URL, r.Method, r.Query, r.Query != nil, r.Headers)
	if r.Body != nil {
		key += fmt.Sprintf(" %q", *r.Body)
	}
	return key
}

// Parameter is a name and a value.
type Parameter struct{ Name, Value string }

var errNoAsker = errors.New("what the job fetches from takes no other requests than its own")

// Ask asks a fetcher, which has to be an Asker. The request gets half of the time that the tick has left, so that an address
// which does not answer costs what asked for it and not the whole tick.
func Ask(ctx context.Context, f Fetcher, tick Tick, r Request) (*Document, error) {
	a, ok := f.(Asker)
	if !ok {
		return nil, errNoAsker
	}
	if end, ok := ctx.Deadline(); ok {
		half := time.Until(end) / 2
		why := fmt.Errorf("no response within %s, half of the time that the run had left", half.Round(time.Millisecond))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, half, why)
		defer cancel()
	}
	return a.Ask(ctx, tick, r)
}
