package httpclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSigV4 compares a signature with one computed step by step as AWS documents it ("Create a signed AWS API request").
func TestSigV4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rotate("ID", "AKIDEXAMPLE")
		w.rotate("KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
		w.rotate("SESSION", "session-s3cret")
		var got *http.Request
		var body string
		w.Serve(t, "aps.example.com:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got, body = r, string(text)
		}))
		client, err := w.host.Client(&Settings{SigV4: &SigV4{
			Region: "eu-west-1", AccessKey: "env:ID", SecretKey: "env:KEY", SessionToken: "env:SESSION",
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		req, _ := http.NewRequest("POST", "http://aps.example.com/workspaces/ws-1/api/v1/remote_write?x=b&x=a", strings.NewReader("hello"))
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Close()
		if body != "hello" {
			t.Errorf("the body is %q", body)
		}
		at := time.Now().UTC()
		if date := got.Header.Get("X-Amz-Date"); date != at.Format("20060102T150405Z") {
			t.Errorf("X-Amz-Date is %q", date)
		}
		if got.Header.Get("X-Amz-Security-Token") != "session-s3cret" {
			t.Error("the session's token is missing")
		}
		scope, names, signature := parseAuthorization(t, got.Header.Get("Authorization"))
		if scope != "AKIDEXAMPLE/"+at.Format("20060102")+"/eu-west-1/aps/aws4_request" {
			t.Errorf("the scope is %q", scope)
		}
		want := signatureByHand("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", at, "eu-west-1", "aps", got, names, body)
		if signature != want {
			t.Errorf("the signature is %s, want %s", signature, want)
		}
		w.rotate("ID", "AKIDANOTHER") // a new key has a new ID
		w.rotate("KEY", "another")
		w.open(t, client, http.MethodGet, "http://aps.example.com/", nil).Close()
		_, names, signature = parseAuthorization(t, got.Header.Get("Authorization"))
		if want := signatureByHand("another", at, "eu-west-1", "aps", got, names, ""); signature != want {
			t.Errorf("after the key has changed, the signature is %s, want %s", signature, want)
		}
	})
}

func TestSigV4Settings(t *testing.T) {
	err := (&Settings{SigV4: &SigV4{}, BasicAuth: &BasicAuth{Username: "u"}}).Validate()
	for _, want := range []string{"sigv4.region: is required", "sigv4.access_key: is required", "sigv4.secret_key: is required", "sigv4: basic_auth is set too"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

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

// signatureByHand computes the four steps of the published algorithm: canonical request, string to sign, signing key, signature.
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
