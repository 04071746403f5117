package httpclient

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is the number of redirects that a request may follow.
const maxRedirects = 5

// redirectPolicy follows redirects only within an origin: headers and the query can contain credentials, and the client cannot
// know which headers and parameters do.
type redirectPolicy struct{ redact redactor }

// check implements http.Client.CheckRedirect.
func (p redirectPolicy) check(next *http.Request, via []*http.Request) error {
	from := via[len(via)-1]
	if difference := otherOrigin(from.URL, next.URL); difference != "" {
		origin := (&url.URL{Scheme: next.URL.Scheme, Host: next.URL.Host}).String()
		return requestError(p.redact, from, fmt.Errorf(
			"redirected to %s (%s): not followed, since credentials would be sent there; set url to the new address", difference, origin))
	}
	if len(via) > maxRedirects {
		return requestError(p.redact, via[0], fmt.Errorf("redirected more than %d times: set url to the final address, which curl -IL URL shows", maxRedirects))
	}
	return nil
}

// changedBy returns how a redirect changes the method or the body of a request, "" if it changes neither. There is one exception: a 303
// turns a POST into a GET, which fetches the result of the POST by definition (RFC 9110 section 15.4.4). With 301 and 302, clients may do so
// only "for historical reasons" (sections 15.4.2 and 15.4.3), and the answer to the GET is usually not that to the POST.
func changedBy(request, next *http.Request) string {
	switch {
	case request.Method == http.MethodPost && next.Method == http.MethodGet && next.Response.StatusCode == http.StatusSeeOther:
		return ""
	case request.Method != next.Method:
		return "makes a " + next.Method + " of the " + request.Method
	case hasBody(request) && !hasBody(next):
		return "drops the body"
	}
	return ""
}

// SameOrigin reports whether two URLs have the same origin (RFC 6454), so that credentials for one may be sent to the other.
func SameOrigin(a, b *url.URL) bool { return otherOrigin(a, b) == "" }

// otherOrigin returns how the origin of the URL "to" differs from the origin of the URL "from". It returns "" if the origins are equal.
func otherOrigin(from, to *url.URL) string {
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

// originOf returns a URL's origin (RFC 6454 section 6.2), normalized as in RFC 3986. The scheme and the host are in lower case (section
// 6.2.2.1). If the URL has no port, the origin has the default port of the scheme (section 6.2.3).
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port(u)
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)])
}
