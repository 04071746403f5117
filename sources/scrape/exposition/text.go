package exposition

import (
	"bytes"

	"github.com/collectington/collectington/agent/text"
)

// ContentType returns the media type of a page that has no Content-Type. A page that ends with # EOF is in OpenMetrics format.
func ContentType(page []byte) string {
	if bytes.HasSuffix(bytes.TrimRight(page, "\n"), []byte("\n# EOF")) {
		return formatOpenMetrics + "; version=1.0.0"
	}
	return formatText
}

// printable converts s to one line of at most 200 bytes.
func printable(s string) string { return text.Cut(text.OneLine(s), 200) }
