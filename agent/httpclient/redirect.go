package httpclient

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many hops a request may take.
const maxRedirects = 5

// checkRedirect follows a redirect on the same origin alone: headers and query can hold credentials, and a client cannot
// know which of them do.
func (h *Host) checkRedirect(next *http.Request, via []*http.Request) error {
	from := via[len(via)-1]
	if to := elsewhere(from.URL, next.URL); to != "" {
		origin := (&url.URL{Scheme: next.URL.Scheme, Host: next.URL.Host}).String()
		return h.failed(from, fmt.Errorf(
			"redirected to %s (%s): refused, credentials would follow; set url to the new address", to, origin))
	}
	if len(via) > maxRedirects {
		return h.failed(via[0], errors.New("redirected more than 5 times"))
	}
	return nil
}

// SameOrigin tells whether two addresses have one origin (RFC 6454), so that what one may be sent the other may.
func SameOrigin(a, b *url.URL) bool { return elsewhere(a, b) == "" }

// elsewhere says in what the second address leaves the origin of the first (RFC 6454), "" where it does not.
func elsewhere(from, to *url.URL) string {
	switch {
	case !strings.EqualFold(from.Hostname(), to.Hostname()):
		return "another host"
	case from.Scheme != to.Scheme:
		return to.Scheme + " from " + from.Scheme
	case port(from) != port(to):
		return "another port"
	}
	return ""
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}
