package httpclient

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/text"
)

// StatusError is a status that is not a success.
type StatusError struct {
	Code       int
	RetryAfter time.Duration // the pause that the server asks for; 0 = none
	text       string
}

func (e *StatusError) Error() string { return e.text }

// maxStatusText bounds how much of a refusal is shown, in bytes.
const maxStatusText = 200

// newStatusError makes the error of a response whose body is read already.
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
	if name := providerOf(resp); name != "" && (e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden) {
		e.text += fmt.Sprintf(" (authenticated by auth.%s)", name)
	}
	if paused && (e.Code == http.StatusTooManyRequests || e.Code == http.StatusServiceUnavailable) {
		e.text += fmt.Sprintf(" (the server asks to retry after %s)", pause.Round(time.Second))
	}
	return e
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}
