package infer_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/infer"
)

// maxProposal bounds a configuration for any answer, in bytes.
const maxProposal = 256 << 10

// FuzzInfer checks that any answer gives either a configuration that passes the check, or an error in one line. The result is the same
// each time.
func FuzzInfer(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			text := string(section.Data)
			if _, body, ok := strings.Cut(text, "\n\n"); ok && strings.HasPrefix(text, "HTTP/1.1") {
				text = body
			}
			f.Add([]byte(text))
		}
	}
	for _, text := range []string{`{"a":{"b":[{}]}}`, `[[1,2],[3,"x"]]`, `{"\u0000":1,"#":2,"a'b":{"x: y":1}}`, `[{"a":"'"},{"a":"\n"}]`, `{"cton_up":1,"__name__":2}`, "a,b\n1,2\n", `{"EUR":{"le":1},"USD":{"le":2},"NOK":{"le":3}}`} {
		f.Add([]byte(text))
	}
	catalogue := agent.Catalogue()
	f.Fuzz(func(t *testing.T, text []byte) {
		format, err := infer.Sniff("", text)
		var root document.Value
		if err == nil {
			root, err = format.Decode(text)
		}
		if err != nil {
			if line := err.Error(); strings.Contains(line, "\n") || len(line) > 2000 {
				t.Fatalf("the error is not one short line: %q", line)
			}
			return
		}
		request := infer.Request{File: "answer.json", Format: format}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		proposal := infer.New(request, now, root, root).YAML()
		if len(proposal) > maxProposal {
			t.Fatalf("the proposal has %d bytes", len(proposal))
		}
		if again := infer.New(request, now, root, root).YAML(); string(again) != string(proposal) {
			t.Fatalf("a second proposal differs:\n%s\n%s", proposal, again)
		}
		if _, err := config.Load("proposal", proposal, catalogue); err != nil {
			t.Fatalf("%v\n%s", err, proposal)
		}
		var paths strings.Builder
		if err := infer.WritePaths(&paths, root); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCurl checks that any command line of curl is either read or refused. It also checks that the request has none of the secrets of the
// command line.
func FuzzCurl(f *testing.F) {
	for _, line := range []string{
		`curl 'https://a.example/x?api_key=topsecretvalue' -H 'Accept: */*' -H 'Cookie: a=topsecretvalue' --compressed`,
		"curl -sSXPOST https://a.example \\\n  -d '{\"q\": 1}' -u user:topsecretvalue", `curl $'https://a.example/\'' -k`, `curl "a`, "-H", `curl --json={} --url=a.example -b x=topsecretvalue`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var a infer.Asking
		if err := a.FromCurl(line); err != nil {
			return
		}
		infer.Probe(a.Request).YAML()
	})
}

func TestSecretsOfCurl(t *testing.T) {
	const secret = "topsecretvalue"
	for _, line := range []string{
		`curl 'https://a.example/x?page_token=1&api_key=topsecretvalue'`,
		`curl https://a.example -H 'Authorization: Bearer topsecretvalue'`,
		`curl https://a.example -H 'Authorization: topsecretvalue'`,
		`curl https://a.example -H 'X-Api-Key: topsecretvalue'`,
		`curl https://a.example -b 'session=topsecretvalue'`,
		`curl https://a.example --oauth2-bearer topsecretvalue`,
		`curl https://a.example -u me:topsecretvalue`,
		`curl -u topsecretvalue: https://a.example`,
		`curl https://me:topsecretvalue@a.example/`,
		`curl -G https://a.example -d token=topsecretvalue`,
	} {
		var a infer.Asking
		if err := a.FromCurl(line); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		text := string(infer.Probe(a.Request).YAML())
		if strings.Contains(text, secret) || len(a.Order) != 1 || !strings.Contains(text, "env:"+a.Order[0]) {
			t.Errorf("%s: %v\n%s", line, a.Order, text)
		}
		if _, err := config.Load("proposal", []byte(text), agent.Catalogue()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
