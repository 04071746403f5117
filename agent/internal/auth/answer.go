package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
)

// take is the token and its end.
func (a *asker) take(ctx context.Context, resp *http.Response, root document.Value) (token httpclient.Token, err error) {
	switch {
	case a.TokenHeader != "":
		if token.Value = resp.Header.Get(a.TokenHeader); token.Value == "" {
			return token, fmt.Errorf("the answer has no header %s", a.TokenHeader)
		}
	case a.TokenCookie != "":
		i := slices.IndexFunc(resp.Cookies(), func(c *http.Cookie) bool { return c.Name == a.TokenCookie && c.Value != "" })
		if i < 0 {
			return token, fmt.Errorf("the answer sets no cookie %s", a.TokenCookie)
		}
		cookie := resp.Cookies()[i]
		token.Value, token.Expires = cookie.Value, endOf(cookie)
	default:
		v, err := a.Token.Run(ctx, root.JQ())
		if err != nil { // whose text may show the token
			return token, fmt.Errorf("token: %s gives an error%s", a.Token, fieldsOf(root))
		}
		if token.Value, err = textOf(v); err != nil {
			return token, fmt.Errorf("token: %s gives %w%s", a.Token, err, fieldsOf(root))
		}
	}
	if err := a.placement().wrong(token.Value); err != nil {
		return token, err
	}
	a.host.Secrets.Remember(token.Value)
	if !a.Expires.IsZero() {
		v, err := a.Expires.Run(ctx, root.JQ())
		if err != nil {
			return token, fmt.Errorf("expires: %s gives an error%s", a.Expires, fieldsOf(root))
		}
		if token.Expires, err = expiry(v, time.Now()); err != nil {
			return token, fmt.Errorf("expires: %s gives %w%s", a.Expires, err, fieldsOf(root))
		}
	}
	return token, nil
}

// endOf is when a cookie runs out (RFC 6265 section 5.3), zero where it does not say.
func endOf(c *http.Cookie) time.Time {
	switch {
	case c.MaxAge > 0:
		return time.Now().Add(time.Duration(min(c.MaxAge, int(longest/time.Second))) * time.Second)
	case c.MaxAge < 0:
		return time.Now() // which deletes it
	}
	return c.Expires
}

// textOf is a token that is a text or a number. The error says what it is instead and does not show it.
func textOf(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	if gojq.TypeOf(v) != "number" {
		return "", fmt.Errorf("%s, want a text", article(gojq.TypeOf(v)))
	}
	text, err := gojq.Marshal(v)
	return string(text), err
}

const (
	longest   = 100 * 365 * 24 * time.Hour // of a token's life
	firstTime = 1e9                        // a number from here on is a Unix time and no span: it is 2001, or 31 years
	lastTime  = 1e11                       // and from here on it is milliseconds
)

var (
	errExpiry = errors.New(`what is neither seconds nor a time such as "2026-01-31T12:00:00Z"`)
	errOver   = errors.New("a time that is over")
)

// expiry is when a token runs out: seconds from now, Unix seconds, or a time as of RFC 3339.
func expiry(v any, now time.Time) (time.Time, error) {
	if v == nil {
		return time.Time{}, errors.New("nothing: mend it, or leave it out and the token is used until it is refused")
	}
	text, err := textOf(v)
	if err != nil {
		return time.Time{}, errExpiry
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		at, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			return time.Time{}, errExpiry
		case at.IsZero(): // with which some say never, and others nothing
			return time.Time{}, errOver
		}
		return at, nil
	}
	switch {
	case !(seconds < lastTime): // NaN too
		return time.Time{}, errors.New("too large a number: want seconds; milliseconds are divided by 1000")
	case seconds >= firstTime:
		return time.UnixMilli(int64(seconds * 1000)), nil
	case seconds <= 0:
		return time.Time{}, errOver
	}
	return now.Add(time.Duration(seconds * float64(time.Second))), nil
}

func article(kind string) string {
	switch kind {
	case "null":
		return "nothing"
	case "object", "array":
		return "an " + kind
	}
	return "a " + kind
}

// maxFields bounds how many of an answer's fields are named.
const maxFields = 10

// fieldsOf names what an answer has: its fields, if they have names such as people give.
func fieldsOf(root document.Value) string {
	fields, ok := root.JQ().(map[string]any)
	if !ok {
		return ""
	}
	plain := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,30}$`)
	var names []string
	for name := range fields {
		if plain.MatchString(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; the answer has " + strings.Join(names[:min(len(names), maxFields)], ", ")
}
