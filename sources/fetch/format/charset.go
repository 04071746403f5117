package format

import (
	"bytes"
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// maxCharset is the maximum length of a charset's name that messages show, in bytes.
const maxCharset = 20

// UTF8 returns the body in UTF-8 without a byte order mark. It takes the charset from the byte order mark if there is one, else from
// the content type, else from an XML declaration (RFC 7303 section 3.2). A body in UTF-8 is not copied.
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
		from = charmap.Windows1252 // browsers read ISO-8859-1 as windows-1252, too (WHATWG Encoding, section 4.2)
	case "iso-8859-15":
		from = charmap.ISO8859_15
	default:
		if isASCII(body) {
			return body, nil // ASCII characters are the same in all charsets
		}
		shown := ""
		if len(name) <= maxCharset { // a longer name is not shown, since it may be any text
			shown = fmt.Sprintf(" %q", name)
		}
		return nil, fmt.Errorf("unsupported charset%s: want UTF-8, UTF-16, ISO-8859-1, ISO-8859-15 or windows-1252", shown)
	}
	return from.NewDecoder().Bytes(body)
}

var xmlDeclaration = pattern.OnUse(`^\s*<\?xml\s[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// charset returns the name of the charset in the content type or else in the XML declaration, "" if neither has one.
func charset(contentType string, body []byte) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		return params["charset"]
	}
	if found := xmlDeclaration().FindSubmatch(body[:min(len(body), 200)]); found != nil {
		return string(found[1])
	}
	return ""
}

// isASCII reports whether the body has only ASCII characters other than NUL.
func isASCII(body []byte) bool {
	for _, c := range body {
		if c == 0 || c >= 0x80 {
			return false
		}
	}
	return true
}
