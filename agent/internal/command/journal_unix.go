//go:build unix

package command

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal reports whether a stream goes to systemd's journal (systemd.exec(5), JOURNAL_STREAM). The journal adds the time to each
// line, so the log need not.
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("JOURNAL_STREAM") == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
