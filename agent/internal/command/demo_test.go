package command_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
)

// stream is what a command has written so far.
type stream struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// demonstration is a running demo.
type demonstration struct {
	out, complaints stream
	reload          chan os.Signal
	code            chan int
	end             context.CancelFunc
}

// startDemo starts a demo. Its temporary files are in the folder temporary, or in a new folder if none is given.
func startDemo(t *testing.T, listen string, temporary ...string) *demonstration {
	t.Helper()
	t.Setenv("TMPDIR", append(temporary, t.TempDir())[0])
	d := &demonstration{reload: make(chan os.Signal, 1), code: make(chan int, 1)}
	var ctx context.Context
	ctx, d.end = context.WithCancel(t.Context())
	app := command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &d.out, Err: &d.complaints, Reload: d.reload,
	}
	go func() { d.code <- app.Main(ctx, []string{"demo", "--listen", listen}) }()
	return d
}

// wait waits for the end of the demo and returns its exit code.
func (d *demonstration) wait(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case code := <-d.code:
		return code
	case <-time.After(within):
		t.Fatalf("the demo does not end; it wrote\n%s%s", &d.out, &d.complaints)
		return 0
	}
}

// until calls the function "done" again and again, as long as "done" returns false. This takes time, since other goroutines and the
// network are involved.
func (d *demonstration) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: not seen; the demo wrote\n%s%s", what, &d.out, &d.complaints)
		}
	}
}

// found returns what the demo has written after a name such as "API", or "" if it has not written that name.
func (d *demonstration) found(name string) string {
	match := regexp.MustCompile(`(?m)^` + name + `: +(.+)$`).FindStringSubmatch(d.out.String())
	if match == nil {
		return ""
	}
	return match[1]
}

func get(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDemo(t *testing.T) {
	listen := freeAddress(t)
	d := startDemo(t, listen)
	d.until(t, "Stop with Ctrl-C.", func() bool { return strings.HasSuffix(d.out.String(), "Stop with Ctrl-C.\n") })
	if want := "http://" + listen + "/metrics"; d.found("metrics") != want {
		t.Errorf("the page is said to be at %s, want %s", d.found("metrics"), want)
	}
	config, err := os.ReadFile(d.found("config"))
	if err != nil || !bytes.Contains(config, []byte(d.found("API"))) || !bytes.Contains(config, []byte(listen)) {
		t.Errorf("configuration: %v\n%s", err, config)
	}
	if text := get(d.found("API")); !strings.Contains(text, `"incidents":`) {
		t.Errorf("the API answers %q", text)
	}
	var page string
	d.until(t, "the job's metrics", func() bool {
		page = get(d.found("metrics"))
		return strings.Contains(page, "incidents_total")
	})
	for _, line := range []string{
		"# TYPE incidents_total counter", "# TYPE incidents_open gauge",
		"# TYPE incident_resolution_seconds histogram", "# TYPE incident_acknowledgement_seconds summary",
		`incidents_by_team_total{stack="prd",team="search"} `, `cton_job_up{cton_job="oncall"} 1`,
	} {
		d.until(t, line, func() bool { return strings.Contains(get(d.found("metrics")), "\n"+line) })
	}

	d.reload <- syscall.SIGHUP
	d.until(t, "a reload", func() bool { return strings.Contains(d.complaints.String(), "msg=reloaded") })

	d.end()
	if code := d.wait(t, 2*time.Second); code != 0 {
		t.Errorf("exit code %d: %s", code, &d.complaints)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, gone := range []string{d.found("API"), d.found("metrics")} {
		if text := get(gone); text != "" {
			t.Errorf("%s still answers", gone)
		}
	}
}

// TestDemoWithoutFiles checks that the demo runs, and can be reloaded, where no file can be written.
func TestDemoWithoutFiles(t *testing.T) {
	d := startDemo(t, freeAddress(t), "/dev/null/none")
	d.until(t, "metrics", func() bool { return strings.Contains(get(d.found("metrics")), "incidents_total") })
	if got := d.found("config"); got != "in memory, since no file can be written" {
		t.Errorf("the configuration is said to be %q", got)
	}
	d.reload <- syscall.SIGHUP
	d.until(t, "a reload", func() bool { return strings.Contains(d.complaints.String(), "msg=reloaded") })
	d.end()
	if code := d.wait(t, 2*time.Second); code != 0 {
		t.Errorf("exit code %d: %s", code, &d.complaints)
	}
}

// TestDemoBesideAnother checks that two demos can run side by side: the API of the second one takes another port.
func TestDemoBesideAnother(t *testing.T) {
	first, second := startDemo(t, freeAddress(t)), startDemo(t, freeAddress(t))
	for _, d := range []*demonstration{first, second} {
		d.until(t, "metrics", func() bool { return strings.Contains(get(d.found("metrics")), "incidents_total") })
	}
	if first.found("API") == second.found("API") {
		t.Errorf("both APIs are at %s", first.found("API"))
	}
	for _, d := range []*demonstration{first, second} {
		d.end()
		if code := d.wait(t, 2*time.Second); code != 0 {
			t.Errorf("exit code %d: %s", code, &d.complaints)
		}
	}
}

func TestDemoSaysThatThePageIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := startDemo(t, l.Addr().String())
	defer d.end()
	if code := d.wait(t, 20*time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := strings.TrimSpace(d.complaints.String())
	last := text[strings.LastIndex(text, "\n")+1:]
	if !strings.HasPrefix(last, "cton: ") || !strings.Contains(last, l.Addr().String()) || !strings.Contains(last, "cton demo --listen") {
		t.Errorf("the last words are %q", last)
	}
}

func TestDemoRefusesNoAddress(t *testing.T) {
	for _, listen := range []string{"nonsense", "\"}: x"} {
		d := startDemo(t, listen)
		if code := d.wait(t, 20*time.Second); code != 1 {
			t.Errorf("%s: exit code %d: %s", listen, code, &d.complaints)
		}
		d.end()
	}
}
