package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestShown checks which values are replaced by <secret> when the settings of a job are shown.
func TestShown(t *testing.T) {
	f, err := Parse("cton.yaml", []byte(`
x: &common {Accept: json, X-Api-Key: literal}   # a comment with a password
http:
  url: "https://bob:hunter2@a.example/x?limit=1&api_key=literal&q=a"
  headers: *common
  headers_from: {Authorization: "env:TOKEN", Cookie: [a, b], X-Token: "file:/run/token"}
  auth: api
  basic_auth: {username: bob, password: "file:/run/secrets/p"}
metrics:
  m: {type: gauge, value: .total, labels: {team: .team}}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := shown(f.Root)
	for _, lost := range []string{"literal", "hunter2", "comment", "bob:", "- a"} {
		if strings.Contains(got, lost) {
			t.Errorf("it shows %q:\n%s", lost, got)
		}
	}
	for _, kept := range []string{"https://***********@a.example/x?limit=*&api_key=*******&q=*", "env:TOKEN", "file:/run/token", "auth: api", "value: .total", "Accept: json", "team: .team"} {
		if !strings.Contains(got, kept) {
			t.Errorf("it lacks %q:\n%s", kept, got)
		}
	}
}

// TestShownIsBounded checks that aliases that would become huge are not written out completely.
func TestShownIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 8 {
		fmt.Fprintf(&text, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	f, err := Parse("cton.yaml", []byte(text.String()))
	if err != nil {
		t.Skip("the parser refuses it already:", err)
	}
	if n := len(shown(f.Root)); n > 1<<18 {
		t.Errorf("%d bytes", n)
	}
}
