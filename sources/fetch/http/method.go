package http

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
)

// maxMethod is the maximum length of a method, in bytes. The longest method that is registered with IANA has 17.
const maxMethod = 32

// checkMethod returns why a request cannot have this method, or "" if it can.
func checkMethod(method string) string {
	switch {
	case method == http.MethodConnect, method == http.MethodTrace:
		return method + " is about the connection and gives no document"
	case !httpclient.IsToken(method), method != strings.ToUpper(method), len(method) > maxMethod:
		return "want a method in upper case, such as GET, POST, PUT or PROPFIND"
	}
	return ""
}

// hasBody reports whether the settings have a body for a request.
func (c *Config) hasBody() bool { return c.Body != "" || len(c.Form) > 0 || !c.Multipart.isZero() }

// method returns the method of the settings' request.
func (c *Config) method() string {
	if c.hasBody() {
		return cmp.Or(c.Method, http.MethodPost)
	}
	return cmp.Or(c.Method, http.MethodGet)
}

// sendsBody reports whether the settings' body is sent with a method. The method may come from a script.
func (c *Config) sendsBody(method string) bool {
	return method == c.method() || method != http.MethodGet && method != http.MethodHead
}
