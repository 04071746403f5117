package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// maxAnswer bounds the answer to a login, in bytes, and maxRefusal what is read of a refusal.
const (
	maxAnswer  = 1 << 20
	maxRefusal = 64 << 10
)

// asker logs in by way of one host.
type asker struct {
	*Login
	host   *httpclient.Host
	client *http.Client
}

// Key implements httpclient.Asker: what would be sent, with secrets as they are now.
func (a *asker) Key() (string, error) {
	req, body, err := a.request(context.Background())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", req.URL.RawQuery, req.Header, body))
	return string(sum[:]), nil
}

// Ask implements httpclient.Asker.
func (a *asker) Ask(ctx context.Context) (httpclient.Token, error) {
	req, _, err := a.request(ctx)
	if err != nil {
		return httpclient.Token{}, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return httpclient.Token{}, a.host.Explain(err)
	}
	defer resp.Body.Close()
	token, err := a.answer(ctx, resp)
	if err != nil {
		return httpclient.Token{}, &httpclient.Error{Method: req.Method, Place: a.host.Secrets.Scrub(a.URL.Place()), Err: err}
	}
	return token, nil
}

// request is the login's request and its body.
func (a *asker) request(ctx context.Context) (*http.Request, string, error) {
	query, err := resolve(a.host, "query", a.Query)
	if err != nil {
		return nil, "", setting.Under("login", err)
	}
	text, contentType, err := a.body()
	if err != nil {
		return nil, "", setting.Under("login", err)
	}
	target, values := a.URL.URL, url.Values{}
	for name, given := range target.Query() {
		for _, value := range given {
			a.host.RememberNamed(name, value)
		}
	}
	for name, value := range query {
		values.Set(name, value)
	}
	target.RawQuery = strings.Trim(target.RawQuery+"&"+values.Encode(), "&")
	req, err := http.NewRequestWithContext(ctx, a.method(), target.String(), strings.NewReader(text))
	if err != nil {
		return nil, "", errors.New("login: the request cannot be made") // the library's text would hold the query
	}
	if text != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	return req, text, setting.Under("login", setHeaders(a.host, req, a.Headers))
}

// body is what is sent, and what it is.
func (a *asker) body() (text, contentType string, err error) {
	if len(a.Form) > 0 {
		values, err := resolve(a.host, "form", a.Form)
		form := url.Values{}
		for name, value := range values {
			form.Set(name, value)
		}
		return form.Encode(), "application/x-www-form-urlencoded", err
	}
	filled, err := fill(a.host, "body", "", a.Body)
	if err != nil || filled == nil {
		return "", "", err
	}
	if text, ok := filled.(string); ok {
		if json.Valid([]byte(text)) {
			return text, "application/json", nil
		}
		return text, "text/plain; charset=utf-8", nil
	}
	encoded, err := json.Marshal(filled)
	return string(encoded), "application/json", err
}

// fill puts secrets in the place of references to them. The name is that of the value.
func fill(h *httpclient.Host, path, name string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		value, err := h.Secrets.Text(setting.Text(v))
		if err != nil {
			return nil, setting.Bad(path, "%v", err)
		}
		h.RememberNamed(name, value)
		return value, nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			var err error
			if all[i], err = fill(h, fmt.Sprintf("%s.%d", path, i), name, v[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, item := range v {
			var err error
			if all[name], err = fill(h, path+"."+name, name, item); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return v, nil
}

// answer takes the token out of an answer. What comes is shown nowhere: a token may be anything in it.
func (a *asker) answer(ctx context.Context, resp *http.Response) (httpclient.Token, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 399 || resp.StatusCode > 299 && a.reads() {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what came is better than why no more did
		return httpclient.Token{}, a.host.RefusedBy(resp, string(text))
	}
	var root document.Value
	if a.reads() {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		switch {
		case err != nil:
			return httpclient.Token{}, a.host.Explain(err)
		case len(text) > maxAnswer:
			return httpclient.Token{}, httpclient.Refused(fmt.Errorf("the answer exceeds %s", setting.Bytes(maxAnswer)))
		}
		var parser document.Parser
		if root, err = parser.Parse(text); err != nil {
			return httpclient.Token{}, httpclient.Refused(fmt.Errorf("want JSON, got %s that is none: is url that of a login for programs?", kindOf(resp, text)))
		}
	}
	token, err := a.take(ctx, resp, root)
	if err != nil {
		return httpclient.Token{}, httpclient.Refused(err)
	}
	return token, nil
}

// kindOf is what an answer seems to be.
func kindOf(resp *http.Response, text []byte) string {
	switch {
	case len(text) == 0:
		return "an empty answer"
	case strings.HasPrefix(strings.TrimSpace(string(text[:min(len(text), 100)])), "<"):
		return "a web page or XML"
	}
	return "a text"
}
