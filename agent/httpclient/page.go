package httpclient

import (
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/text"
)

// hidden replaces a secret in an excerpt.
const hidden = "<secret>"

// maxPageText is the maximum length of a page's text in messages, in bytes.
const maxPageText = 100

// WebPage returns a short description of the body if the body is a web page, "" otherwise. excerpt is the beginning of the body,
// as [Response.Excerpt] returns it. A status of 200 does not prove that the right server has answered: login pages, captive
// portals and default sites answer any request with 200. A sink calls WebPage if its receivers never answer with a page.
func (r *Response) WebPage(excerpt string) string {
	return webPage(r.Header.Get("Content-Type"), excerpt, r.ContentLength)
}

func webPage(contentType, body string, length int64) string {
	body = strings.TrimLeft(body, "\ufeff \t\r\n")
	media, _, _ := mime.ParseMediaType(contentType) // "" if it is malformed
	isHTML := media == "text/html" || media == "application/xhtml+xml"
	switch {
	case body == "" && isHTML && length > 0:
		return "a web page that was cut short"
	case body == "", (body[0] != '<' || strings.HasPrefix(body, hidden)) && !isHTML: // some frameworks send text/html with an empty body
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

// cutTag is strings.Cut for a tag, ignoring case.
func cutTag(page, tag string) (before, after string, found bool) {
	for i := 0; i+len(tag) <= len(page); i++ {
		if page[i] == '<' && strings.EqualFold(page[i:i+len(tag)], tag) {
			return page[:i], page[i+len(tag):], true
		}
	}
	return page, "", false
}
