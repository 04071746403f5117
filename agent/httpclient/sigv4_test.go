package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRequestsAreSignedForAWS holds a signature against the algorithm as AWS publishes it ("Create a signed AWS API
// request"), done by hand.
func TestRequestsAreSignedForAWS(t *testing.T) {
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
		resp.Body.Close()
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
		w.rotate("ID", "AKIDANOTHER") // a new key comes with a new name
		w.rotate("KEY", "another")
		if resp, err = client.Get("http://aps.example.com/"); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		_, names, signature = parseAuthorization(t, got.Header.Get("Authorization"))
		if want := signatureByHand("another", at, "eu-west-1", "aps", got, names, ""); signature != want {
			t.Errorf("after the key has changed, the signature is %s, want %s", signature, want)
		}
	})
}

func TestSigV4Settings(t *testing.T) {
	err := (&Settings{SigV4: &SigV4{}, BasicAuth: &BasicAuth{Username: "u"}}).Validate()
	for _, want := range []string{"sigv4.region: required", "sigv4.access_key: required", "sigv4.secret_key: required", "sigv4: cannot stand beside basic_auth"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
