// Package format decodes what fetchers receive: JSON and NDJSON, CSV and TSV, lines of keys and values, the line
// protocol of InfluxDB, XML, YAML, the Prometheus text format, and any text by a regular expression. The result is always a document.
//
// A fetcher embeds [Settings] in its own settings, makes a [Decoder] from them, and passes each body to the Decoder's methods UTF8 and
// then Decode. Memory and time are limited in every format. An error names the line, and says what to do.
package format

import (
	"errors"
	"fmt"
	"mime"
	"reflect"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
)

// Settings are the settings of a fetcher, for an inline field of its Config. Their defaults are [Defaults].
type Settings struct {
	Format  Name    `yaml:"format"`
	Charset Charset `yaml:"charset"` // "" = by the byte order mark, the content type, or an XML declaration; else UTF-8

	JSON     JSONText `yaml:"json"`     // for the formats json and ndjson
	CSV      CSV      `yaml:"csv"`      // for the formats csv and tsv
	KeyValue KeyValue `yaml:"keyvalue"` // for the format keyvalue
	XML      XML      `yaml:"xml"`      // for the format xml
	Text     Text     `yaml:"text"`     // for the format text
}

// JSONText is the settings for JSON.
type JSONText struct {
	// Lenient allows comments, a comma after the last item, and NaN and Infinity, which become strings.
	Lenient bool `yaml:"lenient"`
}

// CSV is the settings for tables.
type CSV struct {
	Header    bool     `yaml:"header"`    // whether the first row names the columns
	Columns   []string `yaml:"columns"`   // the names of the columns, instead of those of the first row
	Delimiter Char     `yaml:"delimiter"` // between cells; always a tab for tsv
	Comment   Char     `yaml:"comment"`   // lines that begin with it are skipped; 0 = none
	SkipLines int      `yaml:"skip_lines"`
	Trim      bool     `yaml:"trim"` // whether spaces and tabs around names and cells are removed
}

// KeyValue is the settings for lines such as name=value.
type KeyValue struct {
	Separator Separator `yaml:"separator"` // its first occurrence in a line ends the key
	Blocks    bool      `yaml:"blocks"`    // whether empty lines separate several objects
}

// XML is the settings for XML.
type XML struct {
	// Lists contains the names of elements that become lists even if there is only one such element.
	Lists []string `yaml:"lists"`
}

// Text is the settings for texts that are searched by a regular expression.
type Text struct {
	Pattern Pattern `yaml:"pattern"`
}

// Defaults returns the default settings.
func Defaults() Settings {
	return Settings{Format: Auto, CSV: CSV{Header: true, Delimiter: ','}, KeyValue: KeyValue{Separator: "="}}
}

// Name names a format.
type Name string

// The formats. Auto means the format that the content type names, or JSON if the content type is unknown.
const (
	Auto       Name = "auto"
	JSON       Name = "json"
	NDJSON     Name = "ndjson"
	CSVTable   Name = "csv"
	TSVTable   Name = "tsv"
	KeyValues  Name = "keyvalue"
	Influx     Name = "influx"
	XMLTree    Name = "xml"
	YAML       Name = "yaml"
	Prometheus Name = "prometheus"
	PlainText  Name = "text"
)

// Words returns all values that the setting can have, for cton explain.
func (Name) Words() []string {
	return []string{
		string(Auto), string(JSON), string(NDJSON), string(CSVTable), string(TSVTable), string(KeyValues), string(Influx),
		string(XMLTree), string(YAML), string(Prometheus), string(PlainText),
	}
}

// UnmarshalText parses a name.
func (n *Name) UnmarshalText(text []byte) error {
	if !slices.Contains(n.Words(), string(text)) {
		return errors.New("want auto, json, ndjson, csv, tsv, keyvalue, influx, xml, yaml, prometheus or text")
	}
	*n = Name(text)
	return nil
}

// Char is an ASCII character; 0 is none.
type Char byte

// UnmarshalText parses one character, or an empty text.
func (c *Char) UnmarshalText(text []byte) error {
	*c = 0
	switch {
	case len(text) == 0:
	case len(text) > 1 || text[0] >= 0x80 || text[0] < ' ' && text[0] != '\t' || text[0] == '"':
		return errors.New(`want one ASCII character, such as ";" or "\t", that is neither a quote nor a line break`)
	default:
		*c = Char(text[0])
	}
	return nil
}

// Separator is the text between a key and its value.
type Separator string

// maxSeparator is the maximum length of a separator, in bytes.
const maxSeparator = 10

// UnmarshalText checks the separator.
func (s *Separator) UnmarshalText(text []byte) error {
	if len(text) == 0 || len(text) > maxSeparator || strings.ContainsAny(string(text), "\r\n") {
		return fmt.Errorf(`want 1 to %d characters, such as "=" or ":"`, maxSeparator)
	}
	*s = Separator(text)
	return nil
}

// maxGroups is the maximum number of groups of a pattern.
const maxGroups = 50

// Pattern is a regular expression (RE2) with named groups.
type Pattern struct{ *pattern.Pattern }

// UnmarshalText compiles the pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	p.Pattern = nil
	if len(text) == 0 {
		return nil
	}
	compiled, err := pattern.Compile(string(text))
	if err != nil {
		return fmt.Errorf("not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	named := slices.ContainsFunc(compiled.Regexp().SubexpNames(), func(name string) bool { return name != "" })
	if !named || compiled.Regexp().NumSubexp() > maxGroups {
		return fmt.Errorf(`want 1 to %d groups, at least one of them with a name, such as (?P<name>\w+)`, maxGroups)
	}
	p.Pattern = compiled
	return nil
}

// Verbatim implements setting.Verbatim.
func (*Pattern) Verbatim() {}

// Validate returns all problems, each with its setting.
func (s *Settings) Validate() error {
	problems := s.CSV.validate()
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	is := func(names ...Name) bool { return slices.Contains(names, s.Format) }
	standard := Defaults()
	if !reflect.DeepEqual(s.CSV, standard.CSV) && !is(CSVTable, TSVTable, Auto) {
		bad("csv", "is only valid with format: csv or tsv")
	}
	if s.CSV.Delimiter != standard.CSV.Delimiter && is(TSVTable) {
		bad("csv.delimiter", "is only valid with format: csv: that of tsv is a tab")
	}
	if s.JSON.Lenient && !is(JSON, NDJSON, Auto) {
		bad("json", "is only valid with format: json or ndjson")
	}
	if s.KeyValue != standard.KeyValue && !is(KeyValues) {
		bad("keyvalue", "is only valid with format: keyvalue")
	}
	if len(s.XML.Lists) > 0 && !is(XMLTree, Auto) {
		bad("xml", "is only valid with format: xml")
	}
	if slices.Contains(s.XML.Lists, "") {
		bad("xml.lists", "a name is empty")
	}
	switch {
	case s.Text.Pattern.Pattern == nil && is(PlainText):
		bad("text.pattern", `is required: a regular expression such as (?m)^(?P<name>\w+) = (?P<value>\S+)$`)
	case s.Text.Pattern.Pattern != nil && !is(PlainText):
		bad("text", "is only valid with format: text")
	}
	return errors.Join(problems...)
}

// maxSkipLines is the maximum of csv.skip_lines.
const maxSkipLines = 10_000

// validate returns all problems of the settings.
func (c *CSV) validate() (problems []error) {
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	if !c.Header && len(c.Columns) == 0 {
		bad("csv.columns", "is required without a header: the columns' names, from left to right")
	}
	for i, name := range c.Columns {
		switch {
		case name == "": // the cells of this column are left out
		case slices.Contains(c.Columns[:i], name):
			bad(fmt.Sprintf("csv.columns.%d", i), "duplicate name %s", name)
		}
	}
	if len(c.Columns) > 0 && !slices.ContainsFunc(c.Columns, func(name string) bool { return name != "" }) {
		bad("csv.columns", "all names are empty, want at least one")
	}
	if c.SkipLines < 0 || c.SkipLines > maxSkipLines {
		bad("csv.skip_lines", "want 0 to %d", maxSkipLines)
	}
	if c.Delimiter == 0 || c.Delimiter == c.Comment {
		bad("csv.delimiter", "want one character that is not csv.comment")
	}
	return problems
}

// detect returns the format of a content type, and whether the content type is known. For an unknown content type it returns JSON,
// since most APIs send JSON.
func detect(contentType string) (name Name, known bool) {
	kind, params, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json", "text/json":
		return JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl",
		"application/jsonlines", "application/x-jsonlines", "application/json-seq":
		return NDJSON, true
	case "text/csv", "application/csv":
		return CSVTable, true
	case "text/tab-separated-values":
		return TSVTable, true
	case "application/xml", "text/xml":
		return XMLTree, true
	case "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return YAML, true
	case "text/plain":
		if params["version"] == "0.0.4" || params["version"] == "1.0.0" {
			return Prometheus, true
		}
	}
	_, suffix, _ := strings.Cut(kind, "+") // RFC 6839
	switch {
	case kind == "application/xhtml+xml":
	case suffix == "json":
		return JSON, true
	case suffix == "xml":
		return XMLTree, true
	case suffix == "yaml":
		return YAML, true
	}
	return JSON, false
}

// Accept returns the value of the header Accept for the format (RFC 9110 section 12.5.1).
func (n Name) Accept() string {
	switch n {
	case NDJSON:
		return "application/x-ndjson, application/json;q=0.5, */*;q=0.1"
	case CSVTable:
		return "text/csv, */*;q=0.1"
	case TSVTable:
		return "text/tab-separated-values, */*;q=0.1"
	case XMLTree:
		return "application/xml, text/xml, */*;q=0.1"
	case YAML:
		return "application/yaml, */*;q=0.1"
	case Prometheus:
		return "text/plain;version=0.0.4, */*;q=0.1"
	case PlainText, KeyValues, Influx:
		return "text/plain, */*;q=0.1"
	}
	return "application/json"
}

// maxMediaType is the maximum length, in bytes, of a media type that is shown in messages. A longer one is not shown.
const maxMediaType = 60

// mediaType returns a content type without its parameters, for messages.
func mediaType(contentType string) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "" && contentType != "" || len(kind) > maxMediaType {
		return "unknown" // not shown, since it may be any text
	}
	return kind
}
