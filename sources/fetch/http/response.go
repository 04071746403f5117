package http

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/collectington/collectington/sources"
)

// DocumentKind says what the document contains: the body or the whole response.
type DocumentKind string

// The kinds of documents.
const (
	Body     DocumentKind = "body"     // the decoded body
	Response DocumentKind = "response" // {status, seconds, headers, body}, and error if the body cannot be decoded
)

// Words returns all values that the setting can have, for cton explain.
func (DocumentKind) Words() []string { return []string{string(Body), string(Response)} }

// UnmarshalText parses the name of a kind.
func (d *DocumentKind) UnmarshalText(text []byte) error {
	if DocumentKind(text) != Body && DocumentKind(text) != Response {
		return errors.New("want body or response")
	}
	*d = DocumentKind(text)
	return nil
}

// headersOf returns the headers of a response as documents contain them: names are in lower case, and several values of a name are
// joined, as HTTP allows (RFC 9110 section 5.3).
func headersOf(header http.Header) map[string]any {
	headers := make(map[string]any, len(header))
	for name, values := range header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return headers
}

// response returns a whole response as a document. The argument "body" is the decoded body, or nil if there is none. The argument "invalid"
// is the reason why the body cannot be decoded, or nil if it can. Cookies are left out, since they can contain credentials.
func (f *fetcher) response(from string, took time.Duration, body *sources.Document, invalid error) (*sources.Document, error) {
	headers := headersOf(f.header)
	delete(headers, "set-cookie")
	text, err := json.Marshal(struct {
		Status  int            `json:"status"`
		Seconds float64        `json:"seconds"`
		Headers map[string]any `json:"headers"`
	}{f.status, took.Seconds(), headers})
	if err != nil {
		return nil, err
	}
	text = append(text[:len(text)-1], `,"body":`...)
	if body == nil {
		text = append(text, "null"...)
	} else {
		text = body.Root.AppendJSON(text, int(f.set.MaxBody))
	}
	if invalid != nil {
		text = appendError(text, invalid)
	}
	f.whole = append(text, '}')
	doc, err := f.joined.JSON(from, f.whole)
	if err == nil && body != nil {
		doc.Skipped, doc.Single = body.Skipped, body.Single
	}
	return doc, err
}

// appendError appends the member "error" to a JSON object whose closing brace is not written yet.
func appendError(text []byte, err error) []byte {
	quoted, _ := json.Marshal(err.Error()) // marshaling a string cannot fail
	return append(append(text, `,"error":`...), quoted...)
}
