package format

import (
	"bytes"
	"fmt"
	"mime"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// maxCharset is how long the name of a charset can be.
const maxCharset = 20

// UTF8 is the body in UTF-8 without a byte order mark. What it is in is told by that mark, else by the content type, else
// by an XML declaration (RFC 7303 section 3.2). UTF-8 is not copied.
func UTF8(contentType string, body []byte) ([]byte, error) {
	if text, ok := bytes.CutPrefix(body, []byte("\xef\xbb\xbf")); ok {
		return text, nil
	}
	name := strings.ToLower(charset(contentType, body))
	if bytes.HasPrefix(body, []byte("\xff\xfe")) && !bytes.HasPrefix(body, []byte("\xff\xfe\x00\x00")) {
		name = "utf-16"
	} else if bytes.HasPrefix(body, []byte("\xfe\xff")) {
		name = "utf-16"
	}
	var from encoding.Encoding
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return body, nil
	case "utf-16", "utf-16be":
		from = unicode.UTF16(unicode.BigEndian, unicode.UseBOM) // RFC 2781 section 4.3
	case "utf-16le":
		from = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		from = charmap.Windows1252 // which the first two mean on the web (WHATWG Encoding, section 4.2)
	case "iso-8859-15":
		from = charmap.ISO8859_15
	default:
		if isASCII(body) {
			return body, nil // which is the same in all
		}
		if len(name) > maxCharset {
			name = "something else" // and may be anything, so it is not shown
		}
		return nil, fmt.Errorf("want UTF-8, UTF-16, ISO-8859-1, ISO-8859-15 or windows-1252, got text in %q", name)
	}
	return from.NewDecoder().Bytes(body)
}

var xmlDeclaration = regexp.MustCompile(`^\s*<\?xml\s[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// charset is the name that the content type or the XML declaration gives.
func charset(contentType string, body []byte) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		return params["charset"]
	}
	if found := xmlDeclaration.FindSubmatch(body[:min(len(body), 200)]); found != nil {
		return string(found[1])
	}
	return ""
}

func isASCII(body []byte) bool {
	for _, c := range body {
		if c == 0 || c >= 0x80 {
			return false
		}
	}
	return true
}
