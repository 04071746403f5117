package agent_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/demo"
)

// TestReadme runs what README.md shows: its configuration, its commands, and what they print.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	readme := readText(t, filepath.Join(root, "README.md"))
	blocks := fenced(readme)
	if len(blocks["yaml"]) != 1 || len(blocks["console"]) < 3 {
		t.Fatalf("%d configurations and %d sessions", len(blocks["yaml"]), len(blocks["console"]))
	}

	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	api := httptest.NewServer(demo.Handler(start, func() time.Time { return start.Add(3 * time.Minute) }))
	defer api.Close()
	const shown = "http://127.0.0.1:8001" // what README has for it
	t.Chdir(t.TempDir())
	config := strings.ReplaceAll(blocks["yaml"][0], shown, api.URL)
	if err := os.WriteFile("cton.yaml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	makefile := readText(t, filepath.Join(root, "Makefile"))
	for _, s := range sessions(blocks["console"]) {
		verb, rest, _ := strings.Cut(s.command, " ")
		switch verb {
		case "cton":
			got := strings.ReplaceAll(runShown(t, rest), api.URL, shown)
			if !matches(s.output, got) {
				t.Errorf("$ %s\nREADME.md has\n%s\nit prints\n%s", s.command, s.output, got)
			}
		case "make":
			if !strings.Contains(makefile, "\n"+rest+":") {
				t.Errorf("$ %s: no such target", s.command)
			}
		case "go":
			folder, found := strings.CutPrefix(rest, "install github.com/collectington/collectington/")
			if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(folder, "@latest"), "main.go")); !found || err != nil {
				t.Errorf("$ %s: %v", s.command, err)
			}
		default:
			t.Errorf("$ %s: this test does not know how to check it", s.command)
		}
	}

	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(readme, -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
			t.Errorf("link: %v", err)
		}
	}
}

// TestReadmeExplains checks that cton explain knows what README.md names.
func TestReadmeExplains(t *testing.T) {
	readme := readText(t, filepath.Join("..", "README.md"))
	named := regexp.MustCompile("`cton explain\\s(\\w+)`").FindAllStringSubmatch(readme, -1)
	if len(named) < 5 {
		t.Fatalf("README.md names %d kinds to explain", len(named))
	}
	for _, found := range named {
		if text := runShown(t, "explain "+found[1]); !strings.Contains(text, "# ") {
			t.Errorf("cton explain %s prints %q", found[1], text)
		}
	}
}

// TestReadmeNamesEveryCommand holds its table against the command line.
func TestReadmeNamesEveryCommand(t *testing.T) {
	readme := readText(t, filepath.Join("..", "README.md"))
	_, listed, found := strings.Cut(runShown(t, "--help"), "Commands:\n")
	if !found {
		t.Fatal("--help lists no commands")
	}
	names := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(listed, -1)
	if len(names) < 7 {
		t.Fatalf("commands: %q", names)
	}
	for _, name := range names {
		if !regexp.MustCompile("(?m)^\\| `cton " + name[1] + "[ `]").MatchString(readme) {
			t.Errorf("README.md does not have cton %s", name[1])
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\nb\n", "a\nb\n", true},
		{"a\n…\nd\n", "a\nb\nc\n", false},
		{"…\nb\n", "a\nb\n", true},
		{"a\n…\n", "a\nb\n", true},
		{"a\n…\n", "b\n", false},
		{"…\nb\n…\nb\n", "a\nb\n", false},
	} {
		if matches(c.want, c.got) != c.ok {
			t.Errorf("%q, %q: want %v", c.want, c.got, c.ok)
		}
	}
}

// session is a command and what it prints.
type session struct{ command, output string }

// sessions takes console blocks apart; a line that begins with "$ " is a command.
func sessions(blocks []string) []session {
	var all []session
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			if text, ok := strings.CutPrefix(line, "$ "); ok {
				all = append(all, session{command: strings.TrimSpace(text)})
			} else if len(all) > 0 {
				all[len(all)-1].output += line
			}
		}
	}
	return all
}

// fenced is the fenced blocks of a Markdown text by their language.
func fenced(text string) map[string][]string {
	blocks := map[string][]string{}
	for _, b := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks[b[1]] = append(blocks[b[1]], b[2])
	}
	return blocks
}

// matches tells whether a text is as wanted, where a line "…" stands for any lines, or none.
func matches(want, got string) bool {
	var parts []string
	for line := range strings.Lines(want) {
		if line == "…\n" {
			parts = append(parts, `(?:.*\n)*`)
		} else {
			parts = append(parts, regexp.QuoteMeta(line))
		}
	}
	return regexp.MustCompile(`\A` + strings.Join(parts, "") + `\z`).MatchString(got)
}

// runShown runs a command line and returns what it prints.
func runShown(t *testing.T, line string) string {
	t.Helper()
	var out, complaints bytes.Buffer
	app := command.App{Version: "devel", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &complaints}
	if code := app.Main(t.Context(), strings.Fields(line)); code != 0 {
		t.Errorf("cton %s: exit code %d: %s", line, code, &complaints)
	}
	return out.String()
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
