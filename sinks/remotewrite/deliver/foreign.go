package deliver

import (
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/text"
)

// A status code does not prove that a receiver has answered. Login pages, captive portals and default web sites answer 200 to any POST, and
// error pages of proxies have codes such as 400 and 422. Such a response says nothing about the samples, so the request is sent again
// later.

// maxPath is the maximum length, in bytes, of a path in a message. A longer path is cut.
const maxPath = 100

// movedTo returns the path that has answered if a redirect has led to another path. Otherwise it returns "". A slash at the end of a path
// is ignored.
func movedTo(reply *httpclient.Response, path string) string {
	to := reply.Request.URL.Path
	if strings.TrimSuffix(to, "/") == strings.TrimSuffix(path, "/") {
		return ""
	}
	return text.Cut(text.OneLine(to), maxPath)
}

// isForeign reports whether the response cannot come from a receiver. A response that says what was written comes from a receiver. 413 and
// 415 are never foreign, since proxies that limit requests to a receiver send them too.
func (r *response) isForeign() bool {
	switch {
	case r.hasWritten, r.code == 413, r.code == 415:
		return false
	case r.code/100 == 2:
		return r.isPage || r.movedTo != ""
	}
	return r.isPage
}

// foreignHint returns what to do about a response that cannot come from a receiver.
func (r *response) foreignHint() string {
	if r.movedTo != "" {
		return fmt.Sprintf("%s has answered after a redirect, and does not say that it has stored samples: %s", r.movedTo, doFixURL)
	}
	return "this is not a remote-write receiver: check url, and whether a login or a proxy answers in its place"
}
