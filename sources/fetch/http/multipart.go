package http

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"mime/multipart"
	"net/textproto"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Multipart is the settings of a body of fields and files (multipart/form-data, RFC 7578).
type Multipart struct {
	Fields map[string]setting.Template `yaml:"fields"` // a value is a template or a reference to a secret
	Files  map[string]setting.Secret   `yaml:"files"`  // a value is a reference to the content
}

// maxMultipart is the maximum size of a multipart body, in bytes. A file in it has at most 1 MiB, which is the limit for every file that a
// reference names.
const maxMultipart = 16 << 20

// boundary separates the parts. It does not change, so that equal requests have equal bodies.
const boundary = "cton-6f1c8d4be0a94d7c93a25e70bb3f1d62"

var (
	errBoundary  = errors.New("contains the line that separates the parts of a body: leave this line out")
	errMultipart = fmt.Errorf("the body becomes larger than %s: leave a part out", setting.Bytes(maxMultipart))
)

func (m *Multipart) isZero() bool { return len(m.Fields)+len(m.Files) == 0 }

// multipartFor returns the body that the setting "multipart" describes. The fields are before the files, both in the order of their names.
func (b *requestBuilder) multipartFor(tick sources.Tick, i *item) (content, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.SetBoundary(boundary); err != nil {
		return content{}, err
	}
	add := func(header textproto.MIMEHeader, value string) error {
		switch {
		case strings.Contains(value, boundary):
			return errBoundary
		case body.Len()+len(value) > maxMultipart:
			return errMultipart
		}
		part, err := w.CreatePart(header)
		if err == nil {
			_, err = part.Write([]byte(value))
		}
		return err
	}
	for _, p := range b.templates.parts {
		value, err := b.valueOf(p, tick, i)
		if err == nil {
			b.host.RememberNamed(p.name, value)
			err = add(fieldHeader(p.name), value)
		}
		if err != nil {
			return content{}, fmt.Errorf("multipart.fields.%s: %w", p.name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.set.Multipart.Files)) {
		reference := b.set.Multipart.Files[name]
		value, err := b.host.Secrets.Content(reference)
		if err == nil {
			err = add(fileHeader(name, reference, value), value)
		}
		if err != nil {
			return content{}, fmt.Errorf("multipart.files.%s: %w", name, err)
		}
	}
	err := w.Close()
	return content{body.String(), w.FormDataContentType()}, err
}

// fieldHeader returns the header of the part of a field. The name of the field is escaped in the same way as the name of a file.
func fieldHeader(name string) textproto.MIMEHeader {
	named := strings.TrimSuffix(multipart.FileContentDisposition(name, ""), `; filename=""`)
	return textproto.MIMEHeader{"Content-Disposition": {named}}
}

// fileHeader returns the header of the part of a file. If the reference is to a whole file, the header contains the name of that file. For
// other references, the file name in the header is the name of the part.
func fileHeader(name string, reference setting.Secret, value string) textproto.MIMEHeader {
	as := name
	if file, isFile := strings.CutPrefix(string(reference), "file:"); isFile && !strings.Contains(file, "#") {
		as = path.Base(file)
	}
	mediaType := "application/octet-stream"
	if utf8.ValidString(value) {
		mediaType = contentType([]byte(value))
	}
	return textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition(name, as)}, "Content-Type": {mediaType}}
}
