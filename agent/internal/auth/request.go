package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/fetch/format"
)

// request is a request of a login. In the path of its URL, its query, headers, body and form, {{ .name }} is replaced by a value of an
// earlier step.
type request struct {
	URL     setting.PathOrURL       `yaml:"url" setting:"template"` // only a path = on each server that needs the login
	Method  string                  `yaml:"method"`                 // "" = POST for the login itself or with a body, else GET
	Query   map[string]setting.Text `yaml:"query"`
	Headers map[string]setting.Text `yaml:"headers"`
	Body    any                     `yaml:"body" setting:"text"` // a string, or a value that is sent as JSON; strings in it may be references
	Form    map[string]setting.Text `yaml:"form"`

	ValidStatusCodes httpclient.StatusCodes `yaml:"valid_status_codes"` // accepted statuses; nil = 2xx and sometimes 3xx, see accepts
	Format           responseFormat         `yaml:"format"`             // format of the response; "" = by its content type
}

// responseFormat is the format of a response: JSON, XML or text.
type responseFormat string

// Words returns the values that the setting can have.
func (responseFormat) Words() []string { return []string{"json", "xml", "text"} }

// UnmarshalText parses the name of a format.
func (f *responseFormat) UnmarshalText(text []byte) error {
	if *f = responseFormat(text); *f != "" && !slices.Contains(f.Words(), string(text)) {
		return errors.New("want json, xml or text")
	}
	return nil
}

func (r *request) hasBody() bool { return r.Body != nil || len(r.Form) > 0 }

// validate returns all problems of the settings. The argument "standard" is the default method. The argument "known" has the names of the
// values of earlier steps.
func (r *request) validate(standard string, known map[string]bool) error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	if r.URL.IsZero() {
		bad("url", "is required: the URL of the login")
	}
	switch m := cmp.Or(r.Method, standard); {
	case m != http.MethodGet && m != http.MethodPost && m != http.MethodPut:
		bad("method", "want POST, GET or PUT")
	case m == http.MethodGet && r.Method != "" && r.hasBody():
		bad("method", "a GET has no body")
	}
	if r.Body != nil && len(r.Form) > 0 {
		bad("form", "body is set too: set only one of them")
	}
	problems = append(problems, validateBody("body", r.Body), setting.Under("headers", validateHeaders(r.Headers)))
	return errors.Join(append(problems, r.validateNames(known))...)
}

// validateNames checks that there is a value for each {{ .name }}.
func (r *request) validateNames(known map[string]bool) error {
	var problems []error
	if strings.Contains(r.URL.RawQuery, "{{") {
		problems = append(problems, setting.Errorf("url", "values are not filled in after the ?: put them before it, or the parameter into query"))
	}
	if strings.Contains(valueName().ReplaceAllString(writtenPath(r.URL.URL), ""), "{{") {
		problems = append(problems, setting.Errorf("url", "a path can have only {{ .name }}: name a computed value in compute of a step in before"))
	}
	r.eachText(func(path, text string) {
		for _, name := range namesIn(text) {
			if !known[name] {
				problems = append(problems, setting.Errorf(path, "no value .%s: %s", name, knownNames(known)))
			}
		}
	})
	return errors.Join(problems...)
}

func knownNames(known map[string]bool) string {
	if len(known) == 0 {
		return "values come from take and compute of a step in before"
	}
	return "there are ." + strings.Join(slices.Sorted(maps.Keys(known)), ", .")
}

// eachText calls f for each text of the request that may contain {{ .name }}.
func (r *request) eachText(f func(path, text string)) {
	f("url", writtenPath(r.URL.URL))
	for under, texts := range map[string]map[string]setting.Text{"query": r.Query, "headers": r.Headers, "form": r.Form} {
		for name, text := range texts {
			f(under+"."+name, string(text))
		}
	}
	var body func(path string, v any)
	body = func(path string, v any) {
		switch v := v.(type) {
		case string:
			f(path, v)
		case []any:
			for i := range v {
				body(fmt.Sprintf("%s.%d", path, i), v[i])
			}
		case map[string]any:
			for name := range v {
				body(path+"."+name, v[name])
			}
		}
	}
	body("body", r.Body)
}

// validateBody checks that a body can be encoded as JSON and that its references to secrets are well-formed.
func validateBody(path string, v any) error {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64:
		return nil
	case string:
		if err := new(setting.Text).UnmarshalText([]byte(v)); err != nil {
			return setting.Errorf(path, "%v", err)
		}
		return nil
	case []any:
		var problems []error
		for i, item := range v {
			problems = append(problems, validateBody(fmt.Sprintf("%s.%d", path, i), item))
		}
		return errors.Join(problems...)
	case map[string]any:
		var problems []error
		for name, value := range v {
			problems = append(problems, validateBody(path+"."+name, value))
		}
		return errors.Join(problems...)
	case time.Time:
		return setting.Errorf(path, "quote a time: it is sent as it is written")
	}
	return setting.Errorf(path, "want strings, numbers, booleans, lists or mappings of them")
}

// valueName matches {{ .name }}, which is replaced by the value with this name.
var valueName = pattern.OnUse(`\{\{-?\s*\.([A-Za-z_]\w*)\s*-?\}\}`)

// namesIn returns the names of the values that a text uses.
func namesIn(text string) (names []string) {
	for _, found := range valueName().FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// filler replaces the names of values and the references to secrets in the texts of a request.
type filler struct {
	host   *httpclient.Host
	server *url.URL          // the server of a URL that is only a path; nil = none is needed
	values map[string]string // value by name; nil = {{ .name }} is not replaced
}

// text returns t with its references to secrets and its {{ .name }} replaced. A value is inserted as it is: it is never read as a
// reference, since it comes from a server.
func (f filler) text(t setting.Text) (string, error) {
	if t.IsReference() || f.values == nil {
		return f.host.Secrets.Text(t)
	}
	var out strings.Builder
	from := 0
	for _, at := range valueName().FindAllStringSubmatchIndex(string(t), -1) {
		letters, err := f.host.Secrets.Text(setting.Text(t[from:at[0]]))
		if err != nil {
			return "", err
		}
		out.WriteString(letters + f.values[string(t[at[2]:at[3]])])
		from = at[1]
	}
	letters, err := f.host.Secrets.Text(t[from:])
	return out.String() + letters, err
}

func (f filler) texts(under string, texts map[string]setting.Text) (map[string]string, error) {
	values := make(map[string]string, len(texts))
	for name, text := range texts {
		value, err := f.text(text)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", under, name, err)
		}
		f.host.RememberNamed(name, value)
		values[name] = value
	}
	return values, nil
}

// writtenPath returns the path of a URL as it was written.
func writtenPath(u setting.URL) string { return cmp.Or(u.RawPath, u.EscapedPath()) }

// url returns a URL in whose path {{ .name }} is replaced. A value is one segment of the path, or a part of one.
func (f filler) url(given setting.PathOrURL) (url.URL, error) {
	u := given.URL
	if given.IsPath && f.server != nil {
		u.Scheme, u.Host = f.server.Scheme, f.server.Host
	}
	written := writtenPath(u)
	names := valueName().FindAllStringSubmatchIndex(written, -1)
	if f.values == nil || len(names) == 0 {
		return u.URL, nil
	}
	var path strings.Builder
	from := 0
	for _, at := range names {
		name := written[at[2]:at[3]]
		value := f.values[name]
		if value == "" || value == "." || value == ".." {
			return u.URL, setting.Errorf("url", "the value .%s is empty, . or .., which is not a valid path segment", name)
		}
		path.WriteString(httpclient.EscapePath(written[from:at[0]]) + url.PathEscape(value))
		from = at[1]
	}
	path.WriteString(httpclient.EscapePath(written[from:]))
	filled, err := url.Parse(path.String())
	if err != nil || filled.Host != "" {
		return u.URL, setting.Errorf("url", "the path is not valid after its values are filled in")
	}
	to := u.URL
	to.Path, to.RawPath = filled.Path, filled.RawPath
	return to, nil
}

// request returns the HTTP request for r, and its body for messages. The argument standard is the default method.
func (f filler) request(ctx context.Context, r *request, standard string) (*http.Request, string, error) {
	query, err := f.texts("query", r.Query)
	if err != nil {
		return nil, "", err
	}
	text, contentType, err := f.body(r)
	if err != nil {
		return nil, "", err
	}
	target, err := f.url(r.URL)
	if err != nil {
		return nil, "", err
	}
	values := url.Values{}
	for name, given := range target.Query() {
		for _, value := range given {
			f.host.RememberNamed(name, value)
		}
	}
	for name, value := range query {
		values.Set(name, value)
	}
	if r.hasBody() {
		standard = http.MethodPost
	}
	req, err := httpclient.NewRequest(ctx, cmp.Or(r.Method, standard), target, values, text)
	if err != nil {
		return nil, "", err
	}
	if text != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	return req, text, f.setHeaders(req, r.Headers)
}

// setHeaders sets headers on a request.
func (f filler) setHeaders(req *http.Request, texts map[string]setting.Text) error {
	headers, err := f.texts("headers", texts)
	if err != nil {
		return err
	}
	for name, value := range headers {
		if !httpclient.IsHeaderValue(value) {
			return fmt.Errorf("headers.%s: a secret or a value contains a line break or control character: %s", name, texts[name])
		}
		req.Header.Set(name, value)
	}
	return nil
}

// body returns the body of a request and its content type.
func (f filler) body(r *request) (text, contentType string, err error) {
	if len(r.Form) > 0 {
		values, err := f.texts("form", r.Form)
		form := url.Values{}
		for name, value := range values {
			form.Set(name, value)
		}
		return form.Encode(), "application/x-www-form-urlencoded", err
	}
	resolved, err := f.resolve("body", "", r.Body)
	if err != nil || resolved == nil {
		return "", "", err
	}
	if text, ok := resolved.(string); ok {
		if json.Valid([]byte(text)) {
			return text, "application/json", nil
		}
		return text, "text/plain; charset=utf-8", nil
	}
	encoded, err := json.Marshal(resolved)
	return string(encoded), "application/json", err
}

// resolve returns a copy of v in which secrets and values are filled in. The argument name is the name of the JSON member whose value is v.
// The name may show that the value is a secret.
func (f filler) resolve(path, name string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		value, err := f.text(setting.Text(v))
		if err != nil {
			return nil, setting.Errorf(path, "%v", err)
		}
		f.host.RememberNamed(name, value)
		return value, nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			var err error
			if all[i], err = f.resolve(fmt.Sprintf("%s.%d", path, i), name, v[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, item := range v {
			var err error
			if all[name], err = f.resolve(path+"."+name, name, item); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return v, nil
}

// accepts reports whether a response with this status is accepted. Without valid_status_codes, the statuses from 200 to the argument
// "last" are accepted. This argument is 299 for a login whose response body is read, else 399.
func (r *request) accepts(status, last int) bool {
	if len(r.ValidStatusCodes) == 0 {
		return status >= 200 && status <= last
	}
	return r.ValidStatusCodes.Has(status)
}

// wanted returns the name of the format that a body must have, for messages.
func (r *request) wanted() string {
	if r.Format == "xml" {
		return "XML"
	}
	return "JSON"
}

// decode decodes a body in the format that the settings name. If they name none, the content type of the body decides. A body of an unknown
// content type is decoded as JSON.
func (r *request) decode(ctx context.Context, resp *httpclient.Response, body []byte) (any, error) {
	contentType := resp.Header.Get("Content-Type")
	text, err := format.UTF8(contentType, body)
	if err != nil {
		return nil, err
	}
	if r.Format == "text" {
		return string(text), nil
	}
	set := format.Defaults()
	if r.Format != "" {
		set.Format = format.Name(r.Format)
	}
	doc, err := set.Decoder(nil).Decode(ctx, "", contentType, text)
	if err != nil {
		return nil, err
	}
	return doc.Root.JQ(), nil
}
