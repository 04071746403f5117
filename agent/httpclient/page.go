package httpclient

import (
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/text"
)

// maxPageText bounds the text of a page in messages, in bytes.
const maxPageText = 100

// WebPage returns a short description of a response's body if it is a web page, "" otherwise. A status of 200 is no proof
// that the right server has answered: login pages, captive portals and default sites answer it to any request. A sink whose
// receivers never answer with a page calls it. A type without a body is no page: some frameworks send text/html with an empty
// body.
func WebPage(contentType, body string) string {
	body = strings.TrimLeft(body, "\ufeff \t\r\n")
	media, _, _ := mime.ParseMediaType(contentType) // "" if it is malformed
	if body == "" || body[0] != '<' && media != "text/html" && media != "application/xhtml+xml" {
		return ""
	}
	if title := text.Cut(pageTitle(body), maxPageText); title != "" {
		return fmt.Sprintf("a web page with the title %q", title)
	}
	return fmt.Sprintf("a web page: %q", text.Cut(text.OneLine(body), maxPageText))
}

// pageTitle returns the title of an HTML page, "" if it has none.
func pageTitle(page string) string {
	_, rest, found := cutTag(page, "<title")
	if !found {
		return ""
	}
	_, rest, _ = strings.Cut(rest, ">")
	title, _, found := cutTag(rest, "</title")
	if !found {
		return ""
	}
	return text.OneLine(title)
}

// cutTag is strings.Cut for a tag in lower case, which the page may write in upper case.
func cutTag(page, tag string) (before, after string, found bool) {
	for i := 0; i+len(tag) <= len(page); i++ {
		if page[i] == '<' && strings.EqualFold(page[i:i+len(tag)], tag) {
			return page[:i], page[i+len(tag):], true
		}
	}
	return page, "", false
}
