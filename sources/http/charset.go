package http

import (
	"fmt"
	"mime"
	"strings"
)

// maxName is how long the name of a charset can be.
const maxName = 20

// checkCharset refuses a body that is not UTF-8, which JSON is by RFC 8259 section 8.1. A body that says something else
// but holds ASCII alone is the same in both.
func checkCharset(contentType string, body []byte) error {
	_, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	if err != nil || charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8") {
		return nil
	}
	for _, c := range body {
		if c == 0 || c >= 0x80 {
			if len(charset) > maxName {
				charset = "something else" // and may be anything, so it is not shown
			}
			return fmt.Errorf("want JSON in UTF-8, got it in %q", charset)
		}
	}
	return nil
}
