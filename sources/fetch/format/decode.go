package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Decoder decodes documents. It keeps its memory from one document to the next, so a document is valid until the next is
// decoded.
type Decoder struct {
	set    Settings
	vault  *setting.SecretStore
	json   sources.Parser
	lines  document.Parser
	doc    sources.Document
	built  document.Builder
	quoted []byte // a cell of a table, without its quotes
}

// Decoder makes a decoder, which leaves the vault's secrets out of its errors.
func (s *Settings) Decoder(vault *setting.SecretStore) *Decoder {
	return &Decoder{set: *s, vault: vault}
}

// Decode decodes a text in UTF-8, which must not change while the document is in use. Where the text comes from, and what
// its server says that it is, stand in messages; the latter also chooses the format if the settings do not.
func (d *Decoder) Decode(from, contentType string, text []byte) (*sources.Document, error) {
	doc, err := d.decodeAs(from, contentType, text)
	if err != nil {
		return nil, d.withoutSecrets(contentType, text, err)
	}
	return doc, nil
}

// withoutSecrets is an error of decoding without secrets. The error quotes a piece of the text, where a secret that a
// server echoes could stand cut in two and go unnoticed, so the piece is taken anew from a text without secrets.
func (d *Decoder) withoutSecrets(contentType string, text []byte, err error) error {
	if scrubbed := d.vault.Scrub(string(text)); scrubbed != string(text) {
		if _, err = d.decodeAs("", contentType, []byte(scrubbed)); err == nil {
			return errors.New("the document cannot be decoded, and holds a secret of ours")
		}
	}
	if scrubbed := d.vault.Scrub(err.Error()); scrubbed != err.Error() {
		return errors.New(scrubbed)
	}
	return err
}

func (d *Decoder) decodeAs(from, contentType string, text []byte) (*sources.Document, error) {
	name, known := d.set.Format, true
	if name == Auto {
		name, known = detect(contentType)
	}
	doc, err := d.decode(name, from, text)
	if said := mediaType(contentType); err != nil && d.set.Format == Auto && said != "" && said != "text/html" && (name != JSON || !known) {
		return nil, fmt.Errorf("%w; the server calls it %s, which is taken for %s: set format to what it is", err, said, name)
	}
	return doc, err
}

func (d *Decoder) decode(name Name, from string, text []byte) (*sources.Document, error) {
	if name == JSON {
		return d.json.JSON(from, text)
	}
	if name != PlainText && isPage(text) {
		return nil, fmt.Errorf("want %s, got a page that begins with %s: is it a login or error page?",
			title(name), sources.Excerpt(bytes.TrimSpace(text), 40))
	}
	root, err := d.root(name, text)
	if err != nil {
		return nil, fmt.Errorf("the %s is wrong: %w", title(name), err)
	}
	d.doc = sources.Document{From: from, Root: root}
	return &d.doc, nil
}

func (d *Decoder) root(name Name, text []byte) (document.Value, error) {
	var err error
	switch name {
	case NDJSON:
		root, err := d.lines.ParseLines(text)
		return root, ndjsonError(text, err)
	case CSVTable:
		err = d.table(text, byte(d.set.CSV.Delimiter), true)
	case TSVTable:
		err = d.table(text, '\t', false)
	case XMLTree:
		err = d.xml(text)
	case YAML:
		err = d.yaml(text)
	case Prometheus:
		err = d.prometheus(text)
	case PlainText:
		err = d.text(text)
	}
	if err != nil {
		return document.Value{}, err
	}
	return d.built.Value()
}

func title(name Name) string {
	switch name {
	case Prometheus:
		return "Prometheus text"
	case PlainText:
		return "text"
	}
	return strings.ToUpper(string(name))
}

// isPage knows HTML, which servers give in place of anything when something is wrong.
func isPage(text []byte) bool {
	begin := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), 200)]))
	return bytes.HasPrefix(begin, []byte("<!doctype html")) || bytes.HasPrefix(begin, []byte("<html"))
}

// inLine is an error with its place, counted from 1.
func inLine(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// ndjsonError shows where a line is broken.
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
