package deliver

import (
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/text"
)

// A status code is no proof that a receiver has answered. Login pages, captive portals and default sites answer 200 to any
// POST, and error pages of proxies come with 400 and 422. Such a response says nothing of the samples: it is waited out.

// maxPath is the length of a path in messages, in bytes.
const maxPath = 100

// movedTo returns where a response comes from if a redirect was followed to another path, "" otherwise. A slash at the end
// makes no other path.
func movedTo(reply *httpclient.Response, path string) string {
	to := reply.Request.URL.Path
	if strings.TrimSuffix(to, "/") == strings.TrimSuffix(path, "/") {
		return ""
	}
	return text.Cut(text.OneLine(to), maxPath)
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
