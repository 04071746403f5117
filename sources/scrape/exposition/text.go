package exposition

import "github.com/collectington/collectington/agent/text"

// printable converts s to one line of at most 200 bytes.
func printable(s string) string { return text.Cut(text.OneLine(s), 200) }
