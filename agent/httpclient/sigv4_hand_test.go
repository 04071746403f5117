package httpclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func parseAuthorization(t *testing.T, header string) (scope string, names []string, signature string) {
	t.Helper()
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		t.Fatalf("Authorization is %q", header)
	}
	for _, part := range strings.Split(rest, ", ") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "Credential":
			scope = value
		case "SignedHeaders":
			names = strings.Split(value, ";")
		case "Signature":
			signature = value
		}
	}
	return scope, names, signature
}

// signatureByHand is the four steps of the published algorithm: canonical request, text to sign, signing key, signature.
func signatureByHand(secret string, at time.Time, region, service string, r *http.Request, names []string, body string) string {
	headers := ""
	for _, name := range names {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		headers += name + ":" + strings.TrimSpace(value) + "\n"
	}
	query, _ := url.ParseQuery(r.URL.RawQuery)
	for _, values := range query {
		slices.Sort(values)
	}
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	canonical := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), query.Encode(), headers, strings.Join(names, ";"), digest(body),
	}, "\n")
	date := at.Format("20060102")
	text := strings.Join([]string{
		"AWS4-HMAC-SHA256", at.Format("20060102T150405Z"), date + "/" + region + "/" + service + "/aws4_request", digest(canonical),
	}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{date, region, service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}
