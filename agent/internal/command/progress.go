package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells how far long work is: by a bar on a terminal, else by a line for each tenth.
type progress struct {
	out   io.Writer
	bar   bool
	tenth int  // that was told last
	open  bool // the bar's line has not ended
}

// barWidth is the bar's width in characters.
const barWidth = 40

func (p *progress) tell(done, all int, end time.Time) {
	if p.bar {
		full := barWidth * done / all
		fmt.Fprintf(p.out, "\r[%s%s] %d of %d, up to %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, all, end.UTC().Format(time.RFC3339))
		p.open = true
		return
	}
	if tenth := 10 * done / all; tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%d of %d windows, up to %s\n", done, all, end.UTC().Format(time.RFC3339))
	}
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
	}
}

// isTerminal tells whether people read the stream as it is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
