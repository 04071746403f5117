package httpclient

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/text"
)

// StatusError reports a status that is not a success.
type StatusError struct {
	Code       int
	RetryAfter time.Duration // the pause that the server asks for; 0 = none
	text       string
}

func (e *StatusError) Error() string { return e.text }

// maxStatusText is how much of an error response is shown, in bytes.
const maxStatusText = 200

// newStatusError returns the error of a response; body is its body, which the caller has read.
func newStatusError(redact redactor, resp *http.Response, body string) *StatusError {
	e := &StatusError{Code: resp.StatusCode, text: statusText(resp.StatusCode)}
	pause, paused := retryAfter(resp.Header, time.Now())
	e.RetryAfter = pause
	body = strings.TrimSpace(redact.secret(body))
	if strings.HasPrefix(body, "<") && !strings.HasPrefix(body, blank) {
		body = pageTitle(body)
	}
	line, _, _ := strings.Cut(body, "\n")
	if line = text.Cut(text.OneLine(line), maxStatusText); line != "" {
		e.text += ": " + line
	}
	if e.Code == http.StatusUnauthorized {
		e.text += challengeText(resp)
	}
	if by, _ := signatureOf(resp); by.provider != "" && (e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden) {
		e.text += fmt.Sprintf(" (authenticated by auth.%s)", by.provider)
	}
	if paused && (e.Code == http.StatusTooManyRequests || e.Code == http.StatusServiceUnavailable) {
		e.text += fmt.Sprintf(" (the server asks to retry after %s)", pause.Round(time.Second))
	}
	return e
}

// challengeText returns a text about a response with status 401. The text says which authentication the server wants, according to its
// WWW-Authenticate headers (RFC 9110 section 11.6.1), and which setting is for it. It returns "" if the server does not say, or if it wants
// the scheme that was sent: then the credentials are wrong.
func challengeText(resp *http.Response) string {
	sent, signed := signatureOf(resp)
	challenges := resp.Header.Values("WWW-Authenticate")
	if signed && slices.ContainsFunc(challenges, func(c string) bool { return schemeOf(c) == sent.scheme }) {
		return ""
	}
	var unable string
	for _, challenge := range challenges {
		switch scheme := schemeOf(challenge); {
		case signed && sent.scheme == "" && (scheme == "basic" || scheme == "bearer" || scheme == "digest"):
			return ""
		case scheme == "basic":
			return " (the server wants Basic authentication: set basic_auth)"
		case scheme == "bearer":
			return " (the server wants a bearer token: set authorization: {credentials: \"env:NAME\"}, or a login under auth)"
		case scheme == "digest":
			return " (the server wants Digest authentication: set digest_auth)"
		case scheme == "negotiate", scheme == "ntlm":
			unable = " (the server wants Kerberos or NTLM, which cton does not have: use an exec source that runs curl --negotiate or curl --ntlm)"
		}
	}
	return unable
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}
