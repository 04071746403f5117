package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/text"
)

const (
	maxStatusRead = 64 << 10 // read of a refusal, so that a secret is seen whole and blanked before the text is cut
	maxStatusText = 200      // shown of it
)

// StatusError makes an error of a response that is not a success, with the first line of what the receiver says:
// "503 Service Unavailable: upstream down". It reads the start of the body; closing is the caller's.
func (h *Host) StatusError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxStatusRead)) // what came is better than why no more did
	return h.status(resp, string(text))
}

// status is the code, the receiver's text, and when to try again if the receiver says so.
func (h *Host) status(resp *http.Response, body string) error {
	body = strings.TrimSpace(h.Secrets.Scrub(body))
	if strings.HasPrefix(body, "<") && !strings.HasPrefix(body, blank) {
		body = pageTitle(body)
	}
	line, _, _ := strings.Cut(body, "\n")
	line = text.Cut(text.OneLine(line), maxStatusText)
	message := statusText(resp.StatusCode)
	if line != "" {
		message += ": " + line
	}
	if name := provider(resp); name != "" && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		message += fmt.Sprintf(" (logged in by auth.%s)", name)
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if pause, ok := RetryAfter(resp, time.Now()); ok {
			message += fmt.Sprintf(" (try again in %s, says the server)", pause.Round(time.Second))
		}
	}
	return &short{text: message}
}

// RefusedBy is the error of a login that was answered with this, whose body is read already. It is [Refused] unless the
// server is down or busy.
func (h *Host) RefusedBy(resp *http.Response, text string) error {
	err := h.status(resp, text)
	switch code := resp.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return err
	}
	return Refused(err)
}

// pageTitle is all that is worth showing of an HTML page.
func pageTitle(page string) string {
	_, after, _ := strings.Cut(page, "<title>")
	title, _, found := strings.Cut(after, "</title>")
	if !found {
		return ""
	}
	return text.OneLine(title)
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}
