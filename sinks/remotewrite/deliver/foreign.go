package deliver

import (
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
)

// A status code is no proof that a receiver has answered. Login pages, captive portals and default sites answer 200 to any
// POST, and error pages of proxies come with 400 and 422. Such a response says nothing of the samples: it is waited out.

// maxPageText is the length of the text of a page in messages, in bytes.
const maxPageText = 100

// page returns a description of a web page, "" if the body is none. Receivers answer with no body, a line of text or JSON. A
// type without a body is no page: some frameworks send text/html with an empty body.
func page(contentType, body string) string {
	body = strings.TrimLeft(body, "\ufeff \t\r\n")
	media, _, _ := mime.ParseMediaType(contentType) // "" if it is malformed
	if body == "" || body[0] != '<' && media != "text/html" && media != "application/xhtml+xml" {
		return ""
	}
	lower := asciiLower(body)
	if _, rest, found := strings.Cut(lower, "<title"); found {
		if at := strings.IndexByte(rest, '>'); at >= 0 {
			start := len(lower) - len(rest) + at + 1
			title, _, _ := strings.Cut(body[start:], "<")
			if title = oneLine(title, maxPageText); title != "" {
				return fmt.Sprintf("a web page with the title %q", title)
			}
		}
	}
	return fmt.Sprintf("a web page: %q", oneLine(body, maxPageText))
}

// asciiLower is strings.ToLower for letters of ASCII. It keeps the length.
func asciiLower(s string) string {
	lower := []byte(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

// movedTo returns where a response comes from if a redirect was followed to another path, "" otherwise. A slash at the end
// makes no other path.
func movedTo(reply *httpclient.Response, path string) string {
	to := reply.Request.URL.Path
	if strings.TrimSuffix(to, "/") == strings.TrimSuffix(path, "/") {
		return ""
	}
	return oneLine(to, maxPageText)
}

// isForeign reports whether the response cannot be a receiver's. One that says what it has written is. 413 and 415 are also
// answered by proxies that limit requests for a receiver.
func (r *response) isForeign() bool {
	switch {
	case r.hasWritten, r.code == 413, r.code == 415:
		return false
	case r.code/100 == 2:
		return r.isPage || r.movedTo != ""
	}
	return r.isPage
}

// foreignHint returns what to do about a response that cannot be a receiver's.
func (r *response) foreignHint() string {
	if r.movedTo != "" {
		return fmt.Sprintf("%s has answered after a redirect, and does not say that it has stored samples: %s", r.movedTo, doFixURL)
	}
	return "this is not a remote-write receiver: check url, and whether a login or a proxy answers in its place"
}
