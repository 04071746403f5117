package agent_test

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme checks the configurations in README.md. It also checks that the commands in README.md print what is shown there.
func TestReadme(t *testing.T) {
	readme := openPage(t, filepath.Join("..", "README.md"))
	if len(readme.only("yaml")) != 1 || len(readme.only("console")) < 3 {
		t.Fatalf("%d configurations and %d sessions", len(readme.only("yaml")), len(readme.only("console")))
	}
	t.Chdir(t.TempDir())
	readme.check(t)
	if got := run(t, readme.dial, "try", "oncall"); !strings.Contains(got, "\nincidents_total 45\n") {
		t.Errorf("cton try oncall prints\n%s", got)
	}
}

// TestReadmeIsShort checks that README.md stays a short introduction. Everything else belongs in the guides.
func TestReadmeIsShort(t *testing.T) {
	if n := len(strings.Fields(readText(t, filepath.Join("..", "README.md")))); n >= 700 {
		t.Errorf("README.md has %d words, 700 is too many", n)
	}
}

// TestReadmeFigures checks the bold figures. A figure must also be in the note to which the item with the figure links.
func TestReadmeFigures(t *testing.T) {
	readme := readText(t, filepath.Join("..", "README.md"))
	_, promises, _ := strings.Cut(readme, "\n## Five promises\n")
	promises, _, _ = strings.Cut(promises, "\n## ")
	figure := regexp.MustCompile(`\*\*([0-9][^*]*)\*\*`)
	source := regexp.MustCompile(`\]\((agent/decisions/[^)]+|deploy/e2e/[^)]+)\)`)
	items := 0
	for _, item := range strings.Split(promises, "\n- ")[1:] {
		items++
		before, figures := "", 0
		for _, at := range source.FindAllStringSubmatchIndex(item, -1) {
			text := readText(t, filepath.Join("..", item[at[2]:at[3]]))
			for _, found := range figure.FindAllStringSubmatch(item[len(before):at[0]], -1) {
				figures++
				if !regexp.MustCompile(`(^|[^\d.])` + regexp.QuoteMeta(found[1]) + `($|[^\d.]|\.\D)`).MatchString(text) {
					t.Errorf("%s is not in %s", found[1], item[at[2]:at[3]])
				}
			}
			before = item[:at[1]]
		}
		if figures == 0 || figure.MatchString(item[len(before):]) {
			t.Errorf("%d figures with a source in: %s", figures, item)
		}
	}
	if items != 5 {
		t.Errorf("%d promises", items)
	}
}

// TestReadmePicture checks the picture in README.md: the lines of YAML in the picture turn its API answer into exactly the series that it
// shows.
func TestReadmePicture(t *testing.T) {
	picture := readText(t, filepath.Join("..", "deploy", "guides", "overview.svg"))
	lines := map[string]string{}
	for _, found := range regexp.MustCompile(`<text class="([a-z]+)"[^>]*>([^<]*)</text>`).FindAllStringSubmatch(picture, -1) {
		lines[found[1]] += html.UnescapeString(found[2]) + "\n"
	}
	t.Chdir(t.TempDir())
	example{answer: lines["json"], metrics: lines["yaml"], series: lines["series"]}.check(t)
}

// TestReadmeNamesEveryCommand checks the table of commands.md against the command line.
func TestReadmeNamesEveryCommand(t *testing.T) {
	guide := readText(t, filepath.Join("..", "deploy", "guides", "commands.md"))
	names := commands(t)
	if len(names) < 7 {
		t.Fatalf("commands: %q", names)
	}
	for _, name := range names {
		name, _, _ = strings.Cut(name, " ")
		if !regexp.MustCompile("(?m)^\\| `cton " + name + "[ `]").MatchString(guide) {
			t.Errorf("commands.md does not have cton %s", name)
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

// sessions splits console blocks into commands and their outputs. A line that begins with "$ " is a command.
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

// matches reports whether the text "got" is the same as "want". A line "…" in "want" stands for any number of lines.
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

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
