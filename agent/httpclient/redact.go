package httpclient

import (
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// blank replaces a secret in text that is shown.
const blank = "<secret>"

// NamesSecret reports whether a header or parameter of this name is likely to hold a secret.
func NamesSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"keywords", "keyword", "metrickeys", "issuekeys", "authors", "author"} {
		if name == word {
			return false // these contain "key" or "auth", but name no secret
		}
	}
	for _, part := range []string{
		"auth", "key", "token", "secret", "cookie", "passw", "pwd", "credential", "signature", "session",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// minGuessed is the minimum length, in bytes, of a value that is taken for a secret because of its name alone. Shorter values
// are usually words or years.
const minGuessed = 8

// redactor removes secrets from text that is shown.
type redactor struct{ secrets *setting.SecretStore }

// secret replaces all known secrets in the text.
func (r redactor) secret(text string) string { return r.secrets.Scrub(text) }

// Parts of a URL in a text that can contain secrets.
var (
	queryInText = pattern.OnUse(`\?[^\s"']*=[^\s"']*`)
	userInText  = pattern.OnUse(`//[^\s"'/@]*@`)
)

// text returns a text from any origin in a form that can be shown: one line, without secrets, URL queries and control characters.
func (r redactor) text(s string) string {
	s = r.secret(s)
	s = queryInText().ReplaceAllString(s, "")
	s = userInText().ReplaceAllString(s, "//")
	return text.OneLine(s)
}

// header returns a copy of a header without secrets.
func (r redactor) header(header http.Header) http.Header {
	shown := make(http.Header, len(header))
	for name, values := range header {
		for _, value := range values {
			if NamesSecret(name) {
				value = blank
			}
			shown[name] = append(shown[name], r.secret(value))
		}
	}
	return shown
}

// url returns a URL with its query, without secrets and user.
func (r redactor) url(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	text := shown.String()
	separator := "?"
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, valued := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); valued && (err != nil || NamesSecret(plain)) {
			pair = name + "=" + blank
		}
		if pair != "" {
			text += separator + pair
			separator = "&"
		}
	}
	return r.secret(text)
}

const (
	maxBodyRead  = 64 << 10 // a longer body is not shown: the part of a secret at its end would not be recognised
	maxBodyShown = 2000     // bytes
)

// body returns a function that returns the beginning of a request's body without secrets, nil if there is no body to show.
func (r redactor) body(req *http.Request) func() string {
	if req.GetBody == nil || req.ContentLength == 0 {
		return nil
	}
	return func() string {
		body, err := req.GetBody()
		if err != nil {
			return ""
		}
		defer body.Close()
		if kind, parameters, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err == nil && kind == "multipart/form-data" {
			shown, err := withoutFiles(body, parameters["boundary"])
			if err != nil {
				return fmt.Sprintf("%d bytes", req.ContentLength)
			}
			return text.Cut(r.secret(shown), maxBodyShown)
		}
		raw, err := io.ReadAll(io.LimitReader(body, maxBodyRead+1))
		if err != nil || len(raw) > maxBodyRead {
			return fmt.Sprintf("%d bytes", req.ContentLength)
		}
		return text.Cut(r.secret(blankFields(string(raw))), maxBodyShown)
	}
}

// withoutFiles returns a multipart body in which the name and size of each file replace the content of the file.
func withoutFiles(body io.Reader, boundary string) (string, error) {
	var shown strings.Builder
	parts := multipart.NewReader(body, boundary)
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return shown.String() + "--" + boundary + "--", nil
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&shown, "--%s\n", boundary)
		for _, name := range slices.Sorted(maps.Keys(p.Header)) {
			fmt.Fprintf(&shown, "%s: %s\n", name, strings.Join(p.Header[name], ", "))
		}
		if p.FileName() != "" {
			n, err := io.Copy(io.Discard, p)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&shown, "\n<file %s, %d bytes>\n", p.FileName(), n)
			continue
		}
		value, err := io.ReadAll(io.LimitReader(p, maxBodyRead+1))
		switch {
		case err != nil:
			return "", err
		case len(value) > maxBodyRead || shown.Len() > maxBodyRead:
			return "", multipart.ErrMessageTooLarge
		case NamesSecret(p.FormName()):
			value = []byte(blank)
		}
		fmt.Fprintf(&shown, "\n%s\n", value)
	}
}

// A member of a JSON object, and a field of a form. The groups are: everything before the value, the name, and the value.
var (
	memberInText = pattern.OnUse(`("([^"\\]*)"\s*:\s*)("(?:[^"\\]|\\.)*"|[-0-9][^\s,}\]]*)`)
	fieldInText  = pattern.OnUse(`((?:^|&)([^&=\s"]*)=)([^&\s]+)`)
)

// blankFields replaces each value in a body whose name says that the value is a secret.
func blankFields(text string) string {
	for _, field := range []*regexp.Regexp{memberInText(), fieldInText()} {
		text = field.ReplaceAllStringFunc(text, func(found string) string {
			if parts := field.FindStringSubmatch(found); NamesSecret(parts[2]) {
				return parts[1] + blank
			}
			return found
		})
	}
	return text
}
