package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Decoder decodes documents. It reuses its memory, so a document is valid only until the next document is decoded.
type Decoder struct {
	set    Settings
	vault  *setting.SecretStore
	json   sources.Parser
	lines  document.Parser
	doc    sources.Document
	built  document.Builder
	quoted []byte // memory for a cell of a table without its quotes
}

// Decoder returns a decoder for these settings. Its errors do not contain the secrets of the vault.
func (s *Settings) Decoder(vault *setting.SecretStore) *Decoder {
	d := &Decoder{set: *s, vault: vault}
	d.json.Lenient(s.JSON.Lenient)
	d.lines.Lenient = s.JSON.Lenient
	return d
}

// Decode decodes a text in UTF-8, which must not change while the document is in use. The argument "from" says where the text comes from,
// for messages. The content type selects the format if the settings do not. When ctx ends, a search for a pattern stops.
func (d *Decoder) Decode(ctx context.Context, from, contentType string, text []byte) (*sources.Document, error) {
	doc, err := d.decodeAs(ctx, from, contentType, text)
	if err != nil {
		return nil, d.withoutSecrets(ctx, contentType, text, err)
	}
	return doc, nil
}

// withoutSecrets returns an error of decoding that contains no secrets. If the server echoed a secret, the error may quote only a part
// of the secret, which could not be recognised. So secrets are removed from the text, and the text is decoded again.
func (d *Decoder) withoutSecrets(ctx context.Context, contentType string, text []byte, err error) error {
	if scrubbed := d.vault.Scrub(string(text)); scrubbed != string(text) {
		if _, err = d.decodeAs(ctx, "", contentType, []byte(scrubbed)); err == nil {
			return errors.New("the document is invalid; it is not quoted since it contains a configured secret")
		}
	}
	if scrubbed := d.vault.Scrub(err.Error()); scrubbed != err.Error() {
		return errors.New(scrubbed)
	}
	return err
}

func (d *Decoder) decodeAs(ctx context.Context, from, contentType string, text []byte) (*sources.Document, error) {
	name, known := d.set.Format, true
	if name == Auto {
		name, known = detect(contentType)
	}
	doc, err := d.decode(ctx, name, from, text)
	if err != nil && d.set.Format == Auto && contentType == "" && IsOther(text) {
		return nil, fmt.Errorf("%w; if it is something else, set format, such as text, keyvalue or csv", err)
	}
	if said := mediaType(contentType); err != nil && d.set.Format == Auto && said != "" && said != "text/html" && (name != JSON || !known) {
		return nil, fmt.Errorf("%w; the server's content type is %s, which is read as %s: if it is something else, set format", err, said, name)
	}
	return doc, err
}

// IsOther reports whether a text is not empty and begins neither like JSON (an object or a list) nor like markup.
func IsOther(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && !bytes.ContainsRune([]byte("{[<"), rune(text[0]))
}

func (d *Decoder) decode(ctx context.Context, name Name, from string, text []byte) (*sources.Document, error) {
	if name == JSON {
		return d.json.JSON(from, text)
	}
	if name != PlainText && isPage(text) {
		return nil, fmt.Errorf("want %s, got an HTML page that begins with %s: is it a login or error page?",
			title(name), sources.Excerpt(bytes.TrimSpace(text), 40))
	}
	root, err := d.root(ctx, name, text)
	if err != nil {
		return nil, fmt.Errorf("invalid %s: %w", title(name), err)
	}
	d.doc = sources.Document{From: from, Root: root}
	if name == XMLTree {
		d.doc.Single = "xml.lists"
	}
	return &d.doc, nil
}

func (d *Decoder) root(ctx context.Context, name Name, text []byte) (document.Value, error) {
	var err error
	switch name {
	case NDJSON:
		root, err := d.lines.ParseLines(text)
		return root, ndjsonError(text, err)
	case CSVTable:
		err = d.table(withNewlines(text), byte(d.set.CSV.Delimiter), true)
	case TSVTable:
		err = d.table(withNewlines(text), '\t', false)
	case KeyValues:
		err = d.keyValues(withNewlines(text))
	case Influx:
		err = d.influx(text)
	case XMLTree:
		err = d.xml(text)
	case YAML:
		err = d.yaml(text)
	case Prometheus:
		err = d.prometheus(text)
	case PlainText:
		err = d.text(ctx, text)
	}
	if err != nil {
		return document.Value{}, err
	}
	return d.built.Value()
}

// withNewlines returns a text in which carriage returns end the lines, as in files of old Macs, with newlines in their place. A text that has
// newlines is returned as it is.
func withNewlines(text []byte) []byte {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') < 0 {
		return text
	}
	return bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
}

// title returns the name of a format as messages show it.
func title(name Name) string {
	switch name {
	case Prometheus:
		return "Prometheus text"
	case PlainText:
		return "text"
	case KeyValues:
		return "lines of keys and values"
	case Influx:
		return "InfluxDB line protocol"
	}
	return strings.ToUpper(string(name))
}

// isPage reports whether the text is HTML. When something is wrong, servers return HTML in place of any other format.
func isPage(text []byte) bool {
	begin := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), 200)]))
	return bytes.HasPrefix(begin, []byte("<!doctype html")) || bytes.HasPrefix(begin, []byte("<html"))
}

// inLine returns an error that begins with the number of the line, counted from 1.
func inLine(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// ndjsonError returns the error of a line of NDJSON. The error names the place in the line that is wrong.
func ndjsonError(text []byte, err error) error {
	line, ok := errors.AsType[*document.LineError](err)
	if !ok {
		return err
	}
	if e, ok := errors.AsType[*document.SyntaxError](err); ok {
		rest, _, _ := bytes.Cut(text[e.At:], []byte("\n"))
		return inLine(line.Line, "before %s: want %s", sources.Excerpt(rest, 40), e.Want)
	}
	return err
}
