package starlark

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

const keys = `
secrets: {KEY: "file:keys#API_KEY", GONE: "env:NOT_SET"}
metrics: {x: {type: gauge}}
`

// A secret is read again at each tick, and stands in no error, print or preview.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(value string) {
		if err := os.WriteFile(filepath.Join(dir, "keys"), []byte(`API_KEY="`+value+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-key")
	for call, want := range map[string]string{
		`len(secret("KEY"))`:                  "x 9\n",
		`secret("GONE")`:                      "x: test.star:2:18: get_x: secret env:NOT_SET: the environment variable NOT_SET is not set\n",
		`secret("NONE")`:                      "x: test.star:2:18: get_x: script.secrets names no \"NONE\": add it there, or in a config.json as a line of the file that secret_file_path names\n",
		`secret("KEY")`:                       "x: test.star:1:1: get_x: want a number, got the text \"<secret>\"\n",
		`fail("no", secret("KEY"))`:           "x: test.star:2:16: get_x: fail: no <secret>\n",
		`int(secret("KEY"))`:                  "x: test.star:2:15: get_x: int: invalid literal with base 10: <secret>\n",
		`{}[secret("KEY")]`:                   "x: test.star:2:14: get_x: key \"<secret>\" not in dict\n",
		`fail("x" * 495 + secret("KEY"))`:     "x: test.star:2:16: get_x: fail: " + strings.Repeat("x", 494) + "…\n",
		`"x" * 30 + secret("KEY") + "x" * 30`: "x: test.star:1:1: get_x: want a number, got a text of 69 bytes\n",
		`print("x" * 1995 + secret("KEY"))`:   "x drops 1 missing: get_x returned None\n",
		`[1, "x" * 390, secret("KEY")]`:       "x: test.star:1:1: get_x: item 0: want a number, got the number 1 alone\n",
	} {
		s, err := made(t, keys, "def get_x():\n    return "+call, nil)
		if err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		env := &s.(*source).env
		env.Web = &httpclient.Host{Secrets: &setting.SecretStore{Dir: dir}}
		env.Show = func(section, line string) { shown.WriteString(section + ": " + line + "\n") }
		readings, err := s.Collect(t.Context(), tickAt())
		if err != nil {
			t.Fatal(err)
		}
		got := show(readings)
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", call, got, want)
		}
		for part := len("first-key"); part > 3; part-- {
			if strings.Contains(got+shown.String(), "first-key"[:part]) {
				t.Errorf("%s: shows %s\n%s%s", call, "first-key"[:part], got, &shown)
				break
			}
		}
	}

	s, err := made(t, keys, `def get_x(): return {"first-key": 1, "second-key": 2}[secret("KEY")]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Web = &httpclient.Host{Secrets: &setting.SecretStore{Dir: dir}}
	for key, want := range map[string]string{"first-key": "x 1\n", "second-key": "x 2\n"} {
		write(key)
		if readings, err := s.Collect(t.Context(), tickAt()); err != nil || show(readings) != want {
			t.Errorf("%s: %v, %s", key, err, show(readings))
		}
	}
	if got := collect(t, keys, `key = secret("KEY")`, nil); got != "new: test.star:1:13: secret: call it in a function: the top level runs once, and a secret may change\n" {
		t.Errorf("got %s", got)
	}
}
