package format

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// maxCharset is the maximum length, in bytes, of a charset's name that is shown in messages. A longer name is not shown.
const maxCharset = 20

// Charset is the name of a charset; "" = the charset that the text or its content type names.
type Charset string

// UnmarshalText checks that the charset is supported.
func (c *Charset) UnmarshalText(text []byte) error {
	*c = Charset(strings.ToLower(string(text)))
	if _, known := c.encoding(); !known && *c != "" {
		return errors.New("want " + charsets)
	}
	return nil
}

// charsets is the list of charsets in messages.
const charsets = "utf-8, utf-16, utf-16le, iso-8859-1, iso-8859-2, iso-8859-5, iso-8859-15, windows-1250, windows-1251, windows-1252, koi8-r, cp437, cp850, shift_jis, euc-jp, iso-2022-jp, gbk, gb18030, big5 or euc-kr"

// encoding returns the encoding of a charset, nil for UTF-8. It returns false if the charset is not supported.
func (c Charset) encoding() (encoding.Encoding, bool) {
	switch c {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return nil, true
	case "utf-16", "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true // RFC 2781 section 4.3
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), true
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		return charmap.Windows1252, true // browsers decode iso-8859-1 as windows-1252 (WHATWG Encoding, section 4.2)
	case "iso-8859-2", "latin2":
		return charmap.ISO8859_2, true
	case "iso-8859-5":
		return charmap.ISO8859_5, true
	case "iso-8859-15", "latin9":
		return charmap.ISO8859_15, true
	case "windows-1250", "cp1250":
		return charmap.Windows1250, true
	case "windows-1251", "cp1251":
		return charmap.Windows1251, true
	case "koi8-r":
		return charmap.KOI8R, true
	case "cp437", "ibm437":
		return charmap.CodePage437, true
	case "cp850", "ibm850":
		return charmap.CodePage850, true
	}
	return c.eastAsian()
}

// eastAsian is like the method encoding, but only for charsets of East Asia. It knows their names in the WHATWG Encoding standard and in
// Windows.
func (c Charset) eastAsian() (encoding.Encoding, bool) {
	switch c {
	case "shift_jis", "shift-jis", "sjis", "windows-31j", "cp932":
		return japanese.ShiftJIS, true
	case "euc-jp":
		return japanese.EUCJP, true
	case "iso-2022-jp":
		return japanese.ISO2022JP, true
	case "gb18030", "gbk", "gb2312", "cp936":
		return simplifiedchinese.GB18030, true // GBK and GB 2312 are parts of it
	case "big5", "big5-hkscs", "cp950":
		return traditionalchinese.Big5, true
	case "euc-kr", "ks_c_5601-1987", "windows-949", "cp949":
		return korean.EUCKR, true
	}
	return nil, false
}

// UTF8 is like the function [UTF8], but the charset of the settings, if set, takes precedence over that of the content type.
func (d *Decoder) UTF8(contentType string, body []byte) ([]byte, error) {
	return toUTF8(d.set.Charset, contentType, body)
}

// UTF8 converts a body to UTF-8 and removes a byte order mark. The charset is taken from the byte order mark, else from the content
// type, else from an XML declaration (RFC 7303 section 3.2). A body in UTF-8 is not copied.
func UTF8(contentType string, body []byte) ([]byte, error) { return toUTF8("", contentType, body) }

func toUTF8(name Charset, contentType string, body []byte) ([]byte, error) {
	if text, ok := bytes.CutPrefix(body, []byte("\xef\xbb\xbf")); ok {
		return text, nil
	}
	if name == "" {
		name = Charset(strings.ToLower(charset(contentType, body)))
	}
	if bytes.HasPrefix(body, []byte("\xff\xfe")) && !bytes.HasPrefix(body, []byte("\xff\xfe\x00\x00")) {
		name = "utf-16"
	} else if bytes.HasPrefix(body, []byte("\xfe\xff")) {
		name = "utf-16"
	}
	from, known := name.encoding()
	switch {
	case known && from != nil:
		return from.NewDecoder().Bytes(body)
	case known, name == "", isASCII(body): // ASCII is the same in all charsets
		return body, nil
	}
	shown := ""
	if len(name) <= maxCharset { // a longer name may be any text
		shown = fmt.Sprintf(" %q", name)
	}
	return nil, fmt.Errorf("unsupported charset%s: want %s; charset sets another one than the server states", shown, charsets)
}

var xmlDeclaration = pattern.OnUse(`^\s*<\?xml\s[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// charset returns the name of the charset in the content type or else in the XML declaration, "" if neither has one.
func charset(contentType string, body []byte) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		return params["charset"]
	}
	begin := body[:min(len(body), 200)]
	if !bytes.Contains(begin, []byte("<?xml")) {
		return "" // so that the expression is not compiled for other formats
	}
	if found := xmlDeclaration().FindSubmatch(begin); found != nil {
		return string(found[1])
	}
	return ""
}

// isASCII reports whether the body consists of ASCII characters without NUL.
func isASCII(body []byte) bool {
	for _, c := range body {
		if c == 0 || c >= 0x80 {
			return false
		}
	}
	return true
}
