package infer_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/infer"
)

var update = flag.Bool("update", false, "take what try shows for right")

// TestShapes checks what cton init proposes for answers such as those of public APIs. The proposal must pass cton check, and
// cton try must show the metrics that a careful person expects.
func TestShapes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d shapes, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { testShape(t, file) })
	}
}

func testShape(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(archive.Comment), "args: ")
	args, err := infer.ShellWords(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	api := newShape(t, archive)
	dir := t.TempDir()
	config := filepath.Join(dir, "cton.yaml")
	yaml, said, code := api.cton(append([]string{"init", "--wait=1ns"}, args...)...)
	if code != 0 {
		t.Fatalf("init: %d\n%s", code, said)
	}
	again, _, _ := newShape(t, archive).cton(append([]string{"init", "--wait=1ns"}, args...)...)
	if again != yaml {
		t.Errorf("a second init prints something else:\n%s", again)
	}
	for _, secret := range []string{"t0k3n-of-desk", "sk_live_51HxSecretKey", "eyJhbGciOi", "glpat-verysecret123", "p-secret-1", "b3BzOnAtc2VjcmV0LTE"} {
		if strings.Contains(yaml+said, secret) {
			t.Errorf("the secret %s is printed", secret)
		}
	}
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, variable := range regexp.MustCompile(`env:([A-Z_]+)`).FindAllStringSubmatch(yaml, -1) {
		t.Setenv(variable[1], "a-secret")
	}
	if out, errs, code := api.cton("check", "-c", config); code != 0 {
		t.Fatalf("check: %d\n%s%s\n%s", code, out, errs, yaml)
	}
	job := regexp.MustCompile(`(?m)^jobs:\n  ([^:]+):`).FindStringSubmatch(yaml)
	shown, errs, code := api.cton("try", strings.Trim(job[1], "'"), "-c", config)
	if code != 0 {
		t.Fatalf("try: %d\n%s%s\n%s", code, shown, errs, yaml)
	}
	got := valuesOf(shown)
	want := &archive.Files[slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })]
	if got != string(want.Data) && *update {
		want.Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(want.Data) {
		t.Errorf("got\n%swant\n%s\nof\n%s%s", got, want.Data, yaml, said)
	}
}

// valuesOf returns the series that "cton try" shows, without help, and without the values of ages.
func valuesOf(shown string) string {
	_, text, _ := strings.Cut(shown, "== metrics\n")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# HELP") || strings.HasPrefix(line, "# UNIT") {
			continue
		}
		if i := strings.LastIndexByte(line, ' '); (strings.Contains(line, "_age_seconds") || strings.Contains(line, "_remaining_seconds") || strings.Contains(line, "scrape_duration")) && line[0] != '#' {
			line = line[:i] + " AGE\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// shape is an API with the answers of an archive.
type shape struct {
	*httptest.Server
	archive *txtar.Archive
	asked   map[string]int
}

func newShape(t *testing.T, archive *txtar.Archive) *shape {
	s := &shape{archive: archive, asked: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// answer answers with the section whose name has the method, path and query of the request. A section whose name begins with
// 2, such as "2 GET /path", is used from the second request on.
func (s *shape) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	best, text := -1, ""
	key := r.Method + " " + r.URL.Path
	s.asked[key]++
	for _, f := range s.archive.Files {
		name, times := f.Name, 1
		if rest, ok := strings.CutPrefix(name, "2 "); ok {
			name, times = rest, 2
		}
		name, expected, _ := strings.Cut(name, " # ")
		method, address, _ := strings.Cut(name, " ")
		u, err := url.Parse(address)
		if err != nil || method != r.Method || u.Path != r.URL.Path || s.asked[key] < times || !strings.Contains(string(body), expected) {
			continue
		}
		if u.RawQuery != "" && u.Query().Encode() != r.URL.Query().Encode() {
			continue
		}
		if weight := times + 2*len(expected) + len(u.RawQuery); weight > best {
			best, text = weight, string(f.Data)
		}
	}
	if best < 0 {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	if !strings.HasPrefix(text, "HTTP/1.1") {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), r)
	if err != nil {
		panic(err)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// cton runs a command line. All requests go to the API, whichever host they name.
func (s *shape) cton(args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	app := &command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &stdout, Err: &stderr,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
		},
	}
	code = app.Main(context.Background(), args)
	return stdout.String(), stderr.String(), code
}
