package command

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/collectington/collectington/agent/internal/config"
)

// isTerminal reports whether a stream is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// style colours text for a terminal. It does not change text if the output is not a terminal, or if NO_COLOR is set
// (https://no-color.org).
type style struct{ on bool }

func styleOf(w io.Writer) style {
	return style{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) good(text string) string { return s.code("32", text) }
func (s style) bad(text string) string  { return s.code("31", text) }
func (s style) bold(text string) string { return s.code("1", text) }

func (s style) code(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// problems returns the problems of a configuration as text. The description of a problem is bold, and the caret that marks its place
// is red.
func (s style) problems(all config.Problems) string {
	if !s.on {
		return all.Error()
	}
	var b strings.Builder
	for i := range all {
		lines := strings.Split(all[i].String(), "\n")
		lines[0] = s.bold(lines[0])
		if len(lines) == 3 {
			before, caret := strings.TrimSuffix(lines[2], "^"), "^"
			lines[2] = before + s.bad(caret)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// progress shows how much of some work is done: as a bar on a terminal, else as a line for each tenth of the work.
type progress struct {
	out   io.Writer
	what  string // what is counted, such as windows
	bar   bool
	tenth int  // the last tenth that was shown
	open  bool // the bar's line has not ended
}

// barWidth is the bar's width in characters.
const barWidth = 40

// show shows the progress: done is the number of items that are done, all is the number of all items, and last describes the current item.
func (p *progress) show(done, all int, last string) {
	if p.bar {
		full := barWidth * done / all
		fmt.Fprintf(p.out, "\r[%s%s] %d of %d, %s\x1b[K", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, all, last)
		p.open = true
		return
	}
	if tenth := 10 * done / all; tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%d of %d %s, %s\n", done, all, p.what, last)
	}
}

// end ends the line of the bar.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
	}
}

// clear removes the bar.
func (p *progress) clear() {
	if p.open {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.open = false
	}
}
