//go:build !unix

package command

import "io"

// isJournal reports whether a stream goes to systemd's journal.
func isJournal(io.Writer) bool { return false }
