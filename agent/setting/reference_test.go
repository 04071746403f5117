package setting

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTextWithSecrets(t *testing.T) {
	s := &SecretStore{LookupEnv: func(name string) (string, bool) { return map[string]string{"KEY": `s3"{{cr3t`}[name], name == "KEY" }}
	for text, want := range map[Text]string{
		"env:KEY": `s3"{{cr3t`, `Bearer {{ secret "env:KEY" }}`: `Bearer s3"{{cr3t`, "{{secret `env:KEY`}}/{{ secret \"env:KEY\" }}.": `s3"{{cr3t/s3"{{cr3t.`,
		`{{ "env:KEY" }}`: "env:KEY", `{{ "${KEY}" }} and {{ "{{" }}`: "${KEY} and {{", "plain": "plain", "{{ .Name }}": "{{ .Name }}", "": "",
		"a env:prod": "a env:prod", "costs 5$": "costs 5$", "file:///x in it": "file:///x in it",
	} {
		if text != "file:///x in it" {
			if err := new(Text).UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if strings.HasPrefix(string(text), "file:") {
			continue // the whole text is a reference
		}
		if got, err := s.Text(text); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	if got := s.Scrub(`s3"{{cr3t`); got != blank {
		t.Errorf("a secret within a text is not remembered: %s", got)
	}
	if _, err := s.Text(`a {{ secret "env:GONE" }}`); err == nil || !strings.Contains(err.Error(), "secret env:GONE: the environment variable GONE is not set") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Text("env:prod"); err == nil || !strings.HasSuffix(err.Error(), `not set; if these letters are meant, write {{ "env:prod" }}`) {
		t.Errorf("got %v", err)
	}
}

// TestLookalikes checks which texts are refused because they look like references but would be sent literally, and which are accepted.
func TestLookalikes(t *testing.T) {
	for text, want := range map[string]string{
		"Bearer env:TOKEN": "env:TOKEN", "api_key=env:API_KEY&x=1": "env:API_KEY", `{"a":"env:A_B"}`: "env:A_B", "key=file:/run/key": "file:/run/key",
		"a ${KEY}": "${KEY}", "${KEY:-s3cr3t}": "${KEY}", "$(POD_NAME)": "$(POD_NAME)", "x $TOKEN y": "$TOKEN", `{{ env "KEY" }}`: "{{ env … }}",
		"{{ .Env.KEY }}": "{{ .Env … }}", "{{ secret env:KEY }}": "{{ secret … }}", `{{- secret "env:KEY" -}}`: "{{- secret … }}",
	} {
		if got := FindLookalike(text); got == nil || got.Letters != want || strings.Contains(got.Inside()+got.Whole()+got.InURL()+got.WholeURL(), "s3cr3t") {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
	for _, text := range []string{
		"service:web env:prod", "{env:prod}", "a file:///etc/x", "https://x/?profile=/a", "^a$", "$1", "${1}", "$x", "$filter=a", "US$", "5 $", "$AB",
		"{{ rfc3339 .Now }}", `{{ secret "env:KEY" }}`, `{{ "env:KEY" }}`, "prefixenv:KEY", "env:Production", "sum(rate(x[5m]))", "{{ .Item.env }}",
	} {
		if got := FindLookalike(text); got != nil {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

// FuzzText checks that, in a text that is accepted, the references are replaced by secrets and everything else stays the same.
func FuzzText(f *testing.F) {
	f.Add("Bearer ", " and ")
	f.Add(`{{ "x" }}`, "{{")
	f.Fuzz(func(t *testing.T, before, after string) {
		s := &SecretStore{LookupEnv: func(string) (string, bool) { return "s3cr3t", true }}
		text := Text(before + `{{ secret "env:KEY" }}` + after)
		if new(Text).UnmarshalText([]byte(text)) != nil || strings.Contains(before+after, "{{") || strings.HasPrefix(before, "env:") || strings.HasPrefix(before, "file:") {
			return
		}
		if got, err := s.Text(text); got != before+"s3cr3t"+after || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	})
}

// TestSecretFileThatIsNone checks that a named pipe or a device in place of a secret file does not block a run.
func TestSecretFileThatIsNone(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skipf("mkfifo: %v", err)
	}
	var s SecretStore
	for path, want := range map[string]string{
		pipe: pipe + " is a named pipe: want a regular file", os.DevNull: os.DevNull + " is a device: want a regular file",
		filepath.Dir(pipe): filepath.Dir(pipe) + " is a directory: want a regular file",
	} {
		if _, err := s.Secret(Secret("file:" + path)); err == nil || err.Error() != fmt.Sprintf("secret file:%s: %s", path, want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMapReferences(t *testing.T) {
	to := func(reference string) string { return strings.Replace(reference, "file:", "file:a/", 1) }
	for text, want := range map[string]string{
		`x {{ secret "file:k#N" }}{{secret "env:K"}} y`: `x {{ secret "file:a/k#N" }}{{secret "env:K"}} y`, "{{ secret `file:k` }}": `{{ secret "file:a/k" }}`,
		`{{ "file:k" }} file:k {{ .Item.file }}`: `{{ "file:k" }} file:k {{ .Item.file }}`, `{{ secret "k" }}`: `{{ secret "k" }}`,
	} {
		if got := MapReferences(text, to); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "long"), strings.Repeat("x", maxValue+1))
	write(t, filepath.Join(dir, "binary"), "\xff")
	write(t, filepath.Join(dir, "name"), "oslo-7\n")
	s := &SecretStore{Dir: dir}
	if got, err := s.Value("file:name"); got != "oslo-7" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got := s.Scrub("oslo-7"); got != "oslo-7" {
		t.Errorf("a value that is no secret is removed: %s", got)
	}
	for ref, want := range map[string]string{"file:long": "larger than 64KiB", "file:binary": "not UTF-8", "file:gone": "no such file"} {
		if _, err := s.Value(ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}
