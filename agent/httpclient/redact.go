package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/collectington/collectington/agent/text"
)

const blank = "<secret>"

// NamesSecret tells whether a header or parameter of this name is likely to carry a secret.
func NamesSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{
		"auth", "key", "token", "secret", "cookie", "passw", "pwd", "credential", "signature", "session",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// minGuessed is the length from which a value is taken for a secret by its name alone: a shorter one is a word or a year.
const minGuessed = 8

// RememberNamed marks the value of a header or parameter as secret where its name says so: a literal key in the settings.
// Call it at each use, since what is not used is forgotten in the end.
func (h *Host) RememberNamed(name, value string) {
	if NamesSecret(name) && len(value) >= minGuessed {
		h.Secrets.Remember(value)
	}
}

// redactHeader is the header without secrets.
func (h *Host) redactHeader(header http.Header) http.Header {
	shown := make(http.Header, len(header))
	for name, values := range header {
		for _, value := range values {
			if NamesSecret(name) {
				value = blank
			}
			shown[name] = append(shown[name], h.Secrets.Scrub(value))
		}
	}
	return shown
}

// redactURL is the address with its query, without secrets and user.
func (h *Host) redactURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	text := shown.String()
	mark := "?"
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, valued := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); valued && (err != nil || NamesSecret(plain)) {
			pair = name + "=" + blank
		}
		if pair != "" {
			text += mark + pair
			mark = "&"
		}
	}
	return h.Secrets.Scrub(text)
}

const (
	maxRead  = 64 << 10 // a longer body is not shown: half a secret would not be known for one
	maxShown = 2000     // bytes
)

// sentBody is the beginning of a request's body without secrets, nil where there is nothing to show.
func (h *Host) sentBody(req *http.Request) func() string {
	if h.asksLogin || req.GetBody == nil || req.ContentLength == 0 {
		return nil
	}
	return func() string {
		body, err := req.GetBody()
		if err != nil {
			return ""
		}
		defer body.Close()
		raw, err := io.ReadAll(io.LimitReader(body, maxRead+1))
		if err != nil || len(raw) > maxRead {
			return fmt.Sprintf("%d bytes", req.ContentLength)
		}
		return text.Cut(h.Secrets.Scrub(blankFields(string(raw))), maxShown)
	}
}

// A member of a JSON object, and a field of a form: all before the value, the name, and the value.
var (
	memberInText = regexp.MustCompile(`("([^"\\]*)"\s*:\s*)("(?:[^"\\]|\\.)*"|[-0-9][^\s,}\]]*)`)
	fieldInText  = regexp.MustCompile(`((?:^|&)([^&=\s"]*)=)([^&\s]+)`)
)

// blankFields blanks the values in a body whose names are those of secrets.
func blankFields(text string) string {
	for _, field := range []*regexp.Regexp{memberInText, fieldInText} {
		text = field.ReplaceAllStringFunc(text, func(found string) string {
			if parts := field.FindStringSubmatch(found); NamesSecret(parts[2]) {
				return parts[1] + blank
			}
			return found
		})
	}
	return text
}

// What an address in a text of unknown origin can hold of secrets.
var (
	queryInText = regexp.MustCompile(`\?[^\s"']*=[^\s"']*`)
	userInText  = regexp.MustCompile(`//[^\s"'/@]*@`)
)

// clean is a text from elsewhere as it may stand in a message: one line, no secrets, no queries, no control characters.
func (h *Host) clean(s string) string {
	s = h.Secrets.Scrub(s)
	s = queryInText.ReplaceAllString(s, "")
	s = userInText.ReplaceAllString(s, "//")
	return text.OneLine(s)
}
