package httpclient

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
)

var errURL = errors.New("the URL is not valid once secrets and templates are filled in (the reason is not shown, as it may show a secret): look for spaces, line breaks or a wrong host or port in url")

// NewRequest returns a request to a URL, with more parameters added to its query. The query of the URL stays as it is written. An error
// does not show the URL, since the query may contain secrets.
func NewRequest(ctx context.Context, method string, to url.URL, more url.Values, body string) (*http.Request, error) {
	to.RawQuery = strings.Trim(to.RawQuery+"&"+more.Encode(), "&")
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, errURL
	}
	return req, nil
}

// escape matches an escaped byte.
var escape = pattern.OnUse(`%[0-9A-Fa-f]{2}`)

// EscapePath escapes what must be escaped in a part of a path. A character that is already escaped stays escaped: %2F does not mean the
// same as /.
func EscapePath(path string) string {
	var out strings.Builder
	from := 0
	for _, at := range append(escape().FindAllStringIndex(path, -1), []int{len(path), len(path)}) {
		part := path[from:at[0]]
		out.WriteString((&url.URL{Path: part, RawPath: part}).EscapedPath() + path[at[0]:at[1]])
		from = at[1]
	}
	return out.String()
}
