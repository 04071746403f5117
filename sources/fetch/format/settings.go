// Package format decodes what fetchers get: JSON and NDJSON, CSV and TSV, XML, YAML, the Prometheus text format, and any
// text by a regular expression. All of them become the one kind of document that rules and scripts read.
package format

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Settings are for a fetcher's Config to take in line. Defaults is what they start from.
type Settings struct {
	Format Name `yaml:"format"`

	CSV  CSV  `yaml:"csv"`  // of csv and tsv
	XML  XML  `yaml:"xml"`  // of xml
	Text Text `yaml:"text"` // of text
}

// CSV says how tables are written.
type CSV struct {
	Header    bool     `yaml:"header"`    // the first row names the columns
	Columns   []string `yaml:"columns"`   // their names, in place of the first row's
	Delimiter Char     `yaml:"delimiter"` // between cells; of tsv it is always a tab
	Comment   Char     `yaml:"comment"`   // lines that begin with it are left out; 0 = none
}

// XML says which elements are lists.
type XML struct {
	// Lists are the names of elements that are lists even where there is only one of them.
	Lists []string `yaml:"lists"`
}

// Text says what to find in a text.
type Text struct {
	Pattern Pattern `yaml:"pattern"`
}

// Defaults are the settings of who sets nothing.
func Defaults() Settings { return Settings{Format: Auto, CSV: CSV{Header: true, Delimiter: ','}} }

// Name names a format.
type Name string

// The formats. Auto takes the one that the server says, and JSON where it says nothing known.
const (
	Auto       Name = "auto"
	JSON       Name = "json"
	NDJSON     Name = "ndjson"
	CSVTable   Name = "csv"
	TSVTable   Name = "tsv"
	XMLTree    Name = "xml"
	YAML       Name = "yaml"
	Prometheus Name = "prometheus"
	PlainText  Name = "text"
)

// UnmarshalText reads a name.
func (n *Name) UnmarshalText(text []byte) error {
	all := []Name{Auto, JSON, NDJSON, CSVTable, TSVTable, XMLTree, YAML, Prometheus, PlainText}
	if !slices.Contains(all, Name(text)) {
		return errors.New("want auto, json, ndjson, csv, tsv, xml, yaml, prometheus or text")
	}
	*n = Name(text)
	return nil
}

// Char is one ASCII character; 0 is none.
type Char byte

// UnmarshalText reads one character, or nothing.
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

// Bounds on patterns.
const (
	maxPattern = 4 << 10 // bytes
	maxGroups  = 50
)

// Pattern is a regular expression (RE2) with named groups.
type Pattern struct{ *regexp.Regexp }

// UnmarshalText compiles the pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	p.Regexp = nil
	if len(text) == 0 {
		return nil
	}
	if len(text) > maxPattern {
		return fmt.Errorf("the pattern exceeds %d bytes", maxPattern)
	}
	compiled, err := regexp.Compile(string(text))
	if err != nil {
		return fmt.Errorf("not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	named := slices.ContainsFunc(compiled.SubexpNames(), func(name string) bool { return name != "" })
	if !named || compiled.NumSubexp() > maxGroups {
		return fmt.Errorf(`want 1 to %d groups, those with names become fields: (?P<name>\w+)`, maxGroups)
	}
	p.Regexp = compiled
	return nil
}

// Validate names every problem by its setting.
func (s *Settings) Validate() error {
	problems := s.CSV.validate()
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	is := func(names ...Name) bool { return slices.Contains(names, s.Format) }
	standard := Defaults()
	if !reflect.DeepEqual(s.CSV, standard.CSV) && !is(CSVTable, TSVTable, Auto) {
		bad("csv", "goes with format: csv")
	}
	if s.CSV.Delimiter != standard.CSV.Delimiter && is(TSVTable) {
		bad("csv.delimiter", "goes with format: csv; of tsv it is a tab")
	}
	if len(s.XML.Lists) > 0 && !is(XMLTree, Auto) {
		bad("xml", "goes with format: xml")
	}
	if slices.Contains(s.XML.Lists, "") {
		bad("xml.lists", "a name is empty")
	}
	switch {
	case s.Text.Pattern.Regexp == nil && is(PlainText):
		bad("text.pattern", `is needed: a regular expression such as (?m)^(?P<name>\w+) = (?P<value>\S+)$`)
	case s.Text.Pattern.Regexp != nil && !is(PlainText):
		bad("text", "goes with format: text")
	}
	return errors.Join(problems...)
}

func (c *CSV) validate() (problems []error) {
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	if !c.Header && len(c.Columns) == 0 {
		bad("csv.columns", "is needed without a header: the columns' names, from left to right")
	}
	for i, name := range c.Columns {
		switch {
		case name == "":
			bad(fmt.Sprintf("csv.columns.%d", i), "is empty")
		case slices.Contains(c.Columns[:i], name):
			bad(fmt.Sprintf("csv.columns.%d", i), "%s is there already", name)
		}
	}
	if c.Delimiter == 0 || c.Delimiter == c.Comment {
		bad("csv.delimiter", "want one character, and not that of comments")
	}
	return problems
}
