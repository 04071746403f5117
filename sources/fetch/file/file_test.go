//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// config returns the default settings, overridden by settings as a user writes them.
func config(t *testing.T, text string) *Config {
	t.Helper()
	c := Kind.Defaults().(*Config)
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// fresh makes a fetcher as the agent does. The store of secrets contains the secret hunter22.
func fresh(t *testing.T, dir, text string) *fetcher {
	t.Helper()
	c := config(t, text)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	secrets := &setting.SecretStore{}
	secrets.Remember("hunter22")
	f, err := c.New(sources.Env{Job: "test", Web: &httpclient.Host{Secrets: secrets}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return f.(*fetcher)
}

func fetch(t *testing.T, ctx context.Context, f sources.Fetcher) string {
	t.Helper()
	doc, err := f.Fetch(ctx, sources.Tick{}, sources.Request{})
	if err != nil {
		if s := err.Error(); strings.ContainsAny(s, "\r\n\x1b") || len(s) > 500 || !utf8.ValidString(s) {
			t.Errorf("not one short line: %q", s)
		}
		return err.Error()
	}
	return doc.Root.Raw()
}

// old returns a time that is long enough ago for a file to be settled.
func old() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 250e6, time.UTC) }

func write(t *testing.T, path, text string, modified time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[1]*")
	write(t, dir+"/one.json", "\xef\xbb\xbf{\"n\": 1}\n", old())
	write(t, dir+"/sub/two.json", `[2]`, old().Add(750*time.Millisecond))
	write(t, dir+"/sub/é\".txt", `3`, old())
	write(t, dir+"/bad/torn.json", `{"n": `, old())
	write(t, dir+"/bad/key.json", `"hunter22`, old())
	if err := os.Symlink("sub/two.json", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", dir+"/bad/loose"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/bad/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		one = `{"file":"one.json","modified":1767323045.25,"size":12,"document":{"n":1}}`
		two = `{"file":"sub/two.json","modified":1767323046,"size":3,"document":[2]}`
	)
	for text, want := range map[string]string{
		`path: one.json`:             `{"n": 1}`,
		`path: ` + dir + `/one.json`: `{"n": 1}`,
		`path: link`:                 `[2]`,
		`paths: ["*.json"]`:          `[` + one + `]`,
		`paths: ["*/two.*", one.json, "o*", ./one.json]`: `[` + one + `,` + two + `]`,
		`paths: ["../a[[]1?[*]/sub/t*"]`:                 `[` + two + `]`,
		`paths: ["sub/*.txt"]`:                           `[{"file":"sub/é\".txt","modified":1767323045.25,"size":1,"document":3}]`,
		`{path: one.json, format: yaml}`:                 `{"n":1}`,
		`{paths: ["sub/é*"], format: ndjson}`:            `[{"file":"sub/é\".txt","modified":1767323045.25,"size":1,"document":[3]}]`,
		`{path: one.json, format: csv}`:                  `read one.json: invalid CSV: line 1: a quote inside the cell "{\"n\": 1}\n": a cell that contains quotes must be in quotes, with the inner ones doubled`,
		`paths: ["sub/*.csv"]`:                           `[]`,
		`path: nothing.json`:                             `read nothing.json: file does not exist`,
		`path: one.json/x`:                               `read one.json/x: not a directory`,
		`paths: [nothing.json, "n*.json"]`:               `read nothing.json: file does not exist`,
		`paths: ["nothing/*"]`:                           `read files: nothing/*: the directory ` + dir + `/nothing does not exist or cannot be read`,
		`paths: ["one.json/*"]`:                          `read files: one.json/*: the directory ` + dir + `/one.json does not exist or cannot be read`,
		`path: sub`:                                      `read sub: a directory, want a file: set paths to a pattern such as sub/*.json`,
		`paths: ["s*"]`:                                  `read sub: a directory, want a file: set paths to a pattern such as sub/*.json`,
		`path: bad/fifo`:                                 `read bad/fifo: a FIFO, want a file: read it with exec and command: [cat, fifo]`,
		`path: /dev/null`:                                `read /dev/null: a device or a socket (Dc---------), want a file`,
		`path: bad/loose`:                                `read bad/loose: file does not exist`,
		`paths: ["bad/loos?"]`:                           `[]`,
		`path: bad/torn.json`:                            `read bad/torn.json: the JSON is cut short: it ends with "{\"n\":" after 6 bytes`,
		`paths: ["bad/*.json"]`:                          `read bad/key.json: want JSON, got text that begins with "\"<secret>"; if it is something else, set format, such as text, keyvalue or csv`,
		`{path: one.json, max_bytes: 11}`:                `read one.json: the file exceeds max_bytes (11): raise it`,
		`{path: one.json, max_bytes: 12}`:                `{"n": 1}`,
		`{paths: [one.json, link], max_bytes: 90}`:       `read files: together they exceed max_bytes (90): match fewer files, or raise it`,
		`{paths: ["*.json", link], max_files: 1}`:        `read files: 2 files exceed max_files (1): match fewer files, or raise it`,
	} {
		f := fresh(t, dir, text)
		for range 2 {
			if got := fetch(t, t.Context(), f); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
			}
		}
	}
}

// TestBrokenFilesAmongMany checks a list of files of which some cannot be read or decoded. These are left out and counted. The other files
// stay in the list.
func TestBrokenFilesAmongMany(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.json", `1`, old())
	write(t, dir+"/b.json", `{"n": `, old())
	write(t, dir+"/c.json", `"`+strings.Repeat("x", 2000)+`"`, old())
	write(t, dir+"/e.json", `2`, old())
	if err := os.Mkdir(dir+"/d.json", 0o700); err != nil {
		t.Fatal(err)
	}
	f := fresh(t, dir, `{paths: ["*.json", nothing.json], max_bytes: 1000, changed_only: true}`)
	for range 2 {
		doc, err := f.Fetch(t.Context(), sources.Tick{}, sources.Request{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for item := range doc.Root.Items {
			got = append(got, item.Get("file").Text()+" "+item.Get("document").Raw())
		}
		const first = `read b.json: the JSON is cut short: it ends with "{\"n\":" after 6 bytes`
		if all := strings.Join(got, ", "); all != "a.json 1, e.json 2" || doc.Skipped.Items != 4 || doc.Skipped.First.Error() != first {
			t.Errorf("%s, %d skipped, the first: %v", all, doc.Skipped.Items, doc.Skipped.First)
		}
	}
	write(t, dir+"/b.json", `3`, old())
	if doc, err := f.Fetch(t.Context(), sources.Tick{}, sources.Request{}); err != nil || doc.Skipped.Items != 3 || doc.Root.Len() != 3 {
		t.Errorf("after b.json was mended: %v", err)
	}
}

func TestSocketIsRefused(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Skip(err) // the path may be too long
	}
	defer l.Close()
	if got := fetch(t, t.Context(), fresh(t, dir, "path: s")); !strings.Contains(got, "a device or a socket") {
		t.Errorf("got %s", got)
	}
}

// TestFileWithoutSize checks that a file of /proc, whose size is 0, is read.
func TestFileWithoutSize(t *testing.T) {
	const path = "/proc/sys/kernel/threads-max"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skip("no " + path)
	}
	f := fresh(t, "", "{path: "+path+", changed_only: true}")
	if got := fetch(t, t.Context(), f); got != strings.TrimSpace(string(text)) || f.last != nil {
		t.Errorf("got %s, kept %v", got, f.last)
	}
}

// meanwhile is a context whose method Err calls the function in the field "do". The fetcher calls Err while it reads a file, so this
// function can change the file during the read.
type meanwhile struct {
	context.Context
	do func() error
}

func (m meanwhile) Err() error { return m.do() }

func TestTornWrites(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(path string, n int) // called when the file is read for the n-th time
		want string
	}{
		{"grows once", func(path string, n int) {
			if n == 1 {
				write(t, path, `[1, 2]`, old())
			}
		}, `[1, 2]`},
		{"is overwritten once", func(path string, n int) {
			if n == 1 {
				write(t, path, `[2]`, old().Add(time.Second))
			}
		}, `[2]`},
		{"is replaced", func(path string, n int) {
			write(t, path+".new", `[2]`, old())
			_ = os.Rename(path+".new", path)
		}, `[1]`}, // the old file, which is still complete
		{"changes all the time", func(path string, n int) {
			write(t, path, `[1]`, old().Add(time.Duration(n)*time.Second))
		}, "read x.json: the file changed while it was read: write it under another name and rename it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.json")
			write(t, path, `[1]`, old())
			n := 0
			ctx := meanwhile{t.Context(), func() error { n++; c.do(path, n); return nil }}
			if got := fetch(t, ctx, fresh(t, dir, "path: x.json")); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestEndOfContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/x.json", `[1]`, old())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("timed out after 30s"))
	if got := fetch(t, ctx, fresh(t, dir, "path: x.json")); got != "read x.json: timed out after 30s" {
		t.Errorf("got %s", got)
	}
}

// TestChangedOnly checks when changed_only reads a file again. Before some ticks, the test changes the text of a file, but not its size and
// time. If the result still has the old text, the file was not read.
func TestChangedOnly(t *testing.T) {
	for _, settings := range []string{"path: x.json", `paths: ["*.json"]`} {
		dir := t.TempDir()
		path, recent := filepath.Join(dir, "x.json"), time.Now()
		always, changed := fresh(t, dir, settings), fresh(t, dir, "{"+settings+", changed_only: true}")
		for i, c := range []struct {
			text     string
			modified time.Time
			want     string // the result with changed_only
		}{
			{`"é\u00e9 1"`, old(), " 1"},
			{`"é\u00e9 2"`, old(), " 1"},
			{`"é\u00e9 3"`, old(), " 1"},
			{`"é\u00e9 4"`, old().Add(time.Millisecond), " 4"},
			{`"é\u00e9 44"`, old().Add(time.Millisecond), " 44"},
			{`"é\u00e9 5"`, recent, " 5"},
			{`"é\u00e9 6"`, recent, " 6"},
			{`"é\u00e9 7"`, old(), " 7"},
			{`"é\u00e9 `, old().Add(time.Second), "want JSON"},
			{`"é\u00e9 8"`, old(), " 8"},
			{`"é\u00e9 9"`, old(), " 8"},
		} {
			write(t, path, c.text, c.modified)
			if got := fetch(t, t.Context(), changed); !strings.Contains(got, c.want) {
				t.Errorf("%s: tick %d: got %s, want %s", settings, i, got, c.want)
			}
			if got := fetch(t, t.Context(), always); !strings.Contains(got, strings.Trim(c.text[10:], `"`)) && c.want != "want JSON" {
				t.Errorf("%s: tick %d: got %s, want %s", settings, i, got, c.text)
			}
		}
		// Another file under the same name, with the same size and time.
		write(t, path+".new", `"é\u00e9 10"`[:9]+`A"`, old())
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, t.Context(), changed); !strings.Contains(got, "A") {
			t.Errorf("%s: the file that replaced it was not read: %s", settings, got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, t.Context(), changed); strings.Contains(got, "A") {
			t.Errorf("%s: the file was removed, but its text is used: %s", settings, got)
		}
	}
}

// TestAnswers checks that a document has another Answer only if a file was written in the meantime. A file that was written a moment ago is
// read again, but is still the same answer.
func TestAnswers(t *testing.T) {
	for _, settings := range []string{"path: x.json", `paths: ["*.json"]`} {
		dir := t.TempDir()
		path, recent := filepath.Join(dir, "x.json"), time.Now().Add(time.Hour)
		always, changed := fresh(t, dir, settings), fresh(t, dir, "{"+settings+", changed_only: true}")
		names, got := map[uint64]string{0: "-"}, ""
		for _, c := range []struct {
			text     string
			modified time.Time
		}{{"1", old()}, {"1", old()}, {"1", recent}, {"1", recent}, {"2", recent}, {"2", recent}, {"2", old()}, {"2", old().Add(time.Second)}} {
			write(t, path, c.text, c.modified)
			doc, err := changed.Fetch(t.Context(), sources.Tick{}, sources.Request{})
			if err != nil {
				t.Fatal(err)
			}
			if names[doc.Answer] == "" {
				names[doc.Answer] = string(rune('a' + len(names) - 1))
			}
			got += names[doc.Answer]
			if doc, err := always.Fetch(t.Context(), sources.Tick{}, sources.Request{}); err != nil || doc.Answer != 0 {
				t.Errorf("%s: without changed_only: answer %d, error %v", settings, doc.Answer, err)
			}
		}
		if want := "aabbccde"; got != want {
			t.Errorf("%s: answers %s, want %s", settings, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                        "path: is required, or paths: set the file to read, or a list of patterns such as /var/lib/jobs/*.json",
		`{path: a, paths: [b]}`:     "paths: set either path or paths, not both",
		`paths: ["a[b"]`:            `paths.0: is not a valid pattern: want a closing bracket after [, and a character after \`,
		`paths: [a, ""]`:            "paths.1: is empty",
		`paths: ["/var/**/x.json"]`: "paths.0: ** is not supported: * matches one directory or file name, so write one pattern for each depth",
		`{path: a, max_files: 0}`:   "max_files: want at least 1",
		`{path: a, max_bytes: 0}`:   "max_bytes: want more than 0, such as 64MiB",
	} {
		if err := config(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func BenchmarkFetch(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		text := fmt.Sprintf(`{"n": %d, "text": %q}`, i, strings.Repeat("x", 10_000))
		if err := os.WriteFile(fmt.Sprintf("%s/%d.json", dir, i), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c := Kind.Defaults().(*Config)
	c.Paths = []string{"*.json"}
	f, err := c.New(sources.Env{Web: &httpclient.Host{Secrets: &setting.SecretStore{}}, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Fetch(b.Context(), sources.Tick{}, sources.Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
