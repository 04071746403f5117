//go:build unix

package command

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/collectington/collectington/agent/internal/config"
)

// TestStyle checks that output to a file is not coloured, and which parts of the output to a terminal are coloured.
func TestStyle(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if styleOf(file).on || styleOf(null).on || styleOf(&strings.Builder{}).on {
		t.Error("what is no terminal is coloured")
	}
	_, err = config.Parse("cton.yaml", []byte("a: [1"))
	problems := err.(config.Problems)
	if got := (style{}).problems(problems); got != problems.Error() {
		t.Errorf("without colours: %q", got)
	}
	lines := strings.Split(style{true}.problems(problems), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "\x1b[1mcton.yaml:1:") || !strings.HasSuffix(lines[0], "\x1b[0m") || !strings.HasSuffix(lines[2], " \x1b[31m^\x1b[0m") {
		t.Errorf("with colours: %q", lines)
	}
}

// TestJournal checks that a log line has no time if JOURNAL_STREAM names the stream of standard error. Otherwise a log line must have a
// time.
func TestJournal(t *testing.T) {
	for _, same := range []bool{true, false} {
		file, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		stream := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
		if !same {
			stream += "1"
		}
		t.Setenv("JOURNAL_STREAM", stream)
		log := (&App{Err: file}).logger(&globals{LogFormat: "logfmt"})
		log.Info("started", slog.Group("a", "time", "kept"))
		text, err := os.ReadFile(file.Name())
		if got := strings.HasPrefix(string(text), "level=INFO"); err != nil || got != same || !strings.Contains(string(text), "a.time=kept") {
			t.Errorf("JOURNAL_STREAM is that of the log: %v; the log is %q", same, text)
		}
	}
}

// TestProgressClear checks that clear removes the bar from the terminal.
func TestProgressClear(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, bar: true}
	p.clear()
	p.show(1, 2, "a")
	p.clear()
	p.end()
	if got := out.String(); !strings.HasSuffix(got, "1 of 2, a\x1b[K\r\x1b[K") {
		t.Errorf("shown is %q", got)
	}
}
