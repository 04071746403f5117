package format

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// family is the metadata of a metric family.
type family struct {
	kind, help document.TextRef
	hasKind    bool
	hasHelp    bool
	parts      []string // suffixes that the names of the family's samples can have
}

// exposition decodes the Prometheus text format, version 0.0.4 and 1.0.0, to a list of samples:
// {name, type, help, labels, value, timestamp}. Help and timestamp (milliseconds) are optional. Numbers keep all their digits. NaN,
// +Inf and -Inf become strings, since JSON has no such numbers.
type exposition struct {
	built    *document.Builder
	families map[string]*family
	keys     map[string]document.TextRef // the keys of a sample's object, and the word "untyped"
	seen     map[string]bool             // labels of the current sample
	at       []byte                      // the rest of the current line
	scratch  []byte
}

// prometheus decodes a page in the Prometheus text format.
func (d *Decoder) prometheus(text []byte) error {
	lines := min(bytes.Count(text, []byte("\n"))+1, len(text)/4+1)
	labels := min(bytes.Count(text, []byte("=")), len(text)/5)
	d.built.Reset(9*lines+2*labels, len(text))
	x := &exposition{built: &d.built, families: map[string]*family{}, keys: map[string]document.TextRef{}, seen: map[string]bool{}}
	for _, key := range []string{"name", "type", "help", "labels", "value", "timestamp", "untyped"} {
		x.keys[key] = d.built.Keep([]byte(key))
	}
	d.built.Begin(document.Array)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		x.at = bytes.TrimSpace(line)
		var err error
		switch {
		case len(x.at) == 0:
		case x.at[0] == '#':
			err = x.comment()
		default:
			err = x.sample()
		}
		if err != nil {
			return inLine(n, "%w", err)
		}
	}
	d.built.End()
	return nil
}

// comment reads # HELP and # TYPE, and ignores other comments.
func (x *exposition) comment() error {
	x.at = x.at[1:]
	if len(x.at) == 0 || x.at[0] != ' ' && x.at[0] != '\t' {
		return nil // #HELP without a space is an ordinary comment, as in Prometheus
	}
	x.space()
	word := string(x.word())
	if word != "HELP" && word != "TYPE" || len(x.at) == 0 {
		return nil // HELP or TYPE alone is an ordinary comment
	}
	x.space()
	name, err := x.name()
	if err != nil {
		return err
	}
	x.space()
	f := x.families[name]
	if f == nil {
		f = &family{}
		x.families[name] = f
	}
	if word == "HELP" {
		x.scratch = unescape(x.scratch[:0], x.at)
		f.help, f.hasHelp = x.built.Keep(x.scratch), true
		return nil
	}
	kind := string(x.word())
	switch kind {
	case "counter", "gauge", "untyped":
	case "histogram":
		f.parts = []string{"_bucket", "_sum", "_count"}
	case "summary":
		f.parts = []string{"_sum", "_count"}
	default:
		return errors.New("want the type counter, gauge, histogram, summary or untyped, got " + sources.Excerpt([]byte(kind), 40))
	}
	f.kind, f.hasKind = x.built.Keep([]byte(kind)), true
	return nil
}

// of returns the family to which a sample with this name belongs.
func (x *exposition) of(name string) *family {
	if f := x.families[name]; f != nil {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, found := strings.CutSuffix(name, suffix); found {
			if f := x.families[base]; f != nil && slices.Contains(f.parts, suffix) {
				return f
			}
		}
	}
	return &family{}
}

// sample reads name{labels} value timestamp, or {"name", labels} value timestamp.
func (x *exposition) sample() error {
	name := ""
	if x.at[0] != '{' {
		var err error
		if name, err = x.name(); err != nil {
			return err
		}
	}
	x.built.Begin(document.Object)
	if name != "" {
		x.describe(name)
	}
	x.built.TextAt(x.keys["labels"])
	x.built.Begin(document.Object)
	quoted := ""
	if x.space(); x.took('{') {
		var err error
		if quoted, err = x.labels(name == ""); err != nil {
			return err
		}
	}
	x.built.End()
	if name == "" {
		if quoted == "" {
			return errors.New("the sample has no name")
		}
		x.describe(quoted)
	}
	return x.numbers()
}

// describe builds the name, type and help of a sample.
func (x *exposition) describe(name string) {
	x.built.TextAt(x.keys["name"])
	x.built.Text([]byte(name))
	f := x.of(name)
	x.built.TextAt(x.keys["type"])
	if f.hasKind {
		x.built.TextAt(f.kind)
	} else {
		x.built.TextAt(x.keys["untyped"])
	}
	if f.hasHelp {
		x.built.TextAt(x.keys["help"])
		x.built.TextAt(f.help)
	}
}

// numbers reads the value of a sample, and its timestamp if there is one.
func (x *exposition) numbers() error {
	x.space()
	word := x.word()
	x.built.TextAt(x.keys["value"])
	if !x.built.Number(word) {
		text, ok := notFinite(string(word))
		if !ok {
			return errors.New("want a number as the value, got " + sources.Excerpt(word, 40))
		}
		x.built.Text([]byte(text))
	}
	x.space()
	if len(x.at) > 0 {
		word = x.word()
		x.built.TextAt(x.keys["timestamp"])
		if bytes.ContainsAny(word, ".eE") || !x.built.Number(word) {
			return errors.New("want an integer of milliseconds as the timestamp, got " + sources.Excerpt(word, 40))
		}
	}
	x.built.End()
	if x.space(); len(x.at) > 0 {
		return errors.New("text after the timestamp: " + sources.Excerpt(x.at, 40))
	}
	return nil
}

// notFinite returns NaN, +Inf or -Inf for every spelling that strconv.ParseFloat accepts.
func notFinite(word string) (string, bool) {
	switch strings.ToLower(word) {
	case "nan", "+nan", "-nan":
		return "NaN", true
	case "inf", "+inf", "infinity", "+infinity":
		return "+Inf", true
	case "-inf", "-infinity":
		return "-Inf", true
	}
	return "", false
}

// space skips spaces and tabs in the current line.
func (x *exposition) space() { x.at = bytes.TrimLeft(x.at, " \t") }

// took skips the character c. It returns false, and skips nothing, if the rest of the line does not begin with c.
func (x *exposition) took(c byte) bool {
	if len(x.at) == 0 || x.at[0] != c {
		return false
	}
	x.at = x.at[1:]
	return true
}

// word reads up to the next space.
func (x *exposition) word() []byte {
	n := bytes.IndexAny(x.at, " \t")
	if n < 0 {
		n = len(x.at)
	}
	word := x.at[:n]
	x.at = x.at[n:]
	return word
}

// name reads a name of letters, digits, _ and :, or any name in quotes.
func (x *exposition) name() (string, error) {
	if len(x.at) > 0 && x.at[0] == '"' {
		text, err := x.quoted()
		return string(text), err
	}
	n := 0
	for n < len(x.at) && isNameByte(x.at[n], n) {
		n++
	}
	if n == 0 {
		return "", errors.New("want a name, got " + sources.Excerpt(x.at, 40))
	}
	name := x.at[:n]
	x.at = x.at[n:]
	return string(name), nil
}

func isNameByte(c byte, at int) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c >= '0' && c <= '9' && at > 0
}

// labels reads the labels up to the closing brace. If "nameless" is true, there was no metric name before the opening brace. The name can
// then be among the labels, in quotes, and is the result "name".
func (x *exposition) labels(nameless bool) (name string, err error) {
	clear(x.seen)
	for first := true; ; first = false {
		x.space()
		if !first && !x.took(',') && len(x.at) > 0 && x.at[0] != '}' {
			return "", errors.New("want a comma or } after a label, got " + sources.Excerpt(x.at, 40))
		}
		if x.space(); x.took('}') {
			return name, nil
		}
		inQuotes := len(x.at) > 0 && x.at[0] == '"'
		label, err := x.name()
		if err != nil {
			return "", err
		}
		if x.space(); !x.took('=') {
			if !inQuotes || !nameless || name != "" {
				return "", errors.New("want = after the label " + sources.Excerpt([]byte(label), 40))
			}
			name = label
			continue
		}
		if x.seen[label] {
			return "", errors.New("duplicate label " + sources.Excerpt([]byte(label), 40))
		}
		x.seen[label] = true
		x.built.Text([]byte(label))
		x.space()
		value, err := x.quoted()
		if err != nil {
			return "", err
		}
		x.built.Text(value)
	}
}

// quoted reads a string in quotes. The result is valid until the following call.
func (x *exposition) quoted() ([]byte, error) {
	if !x.took('"') {
		return nil, errors.New("want a string in quotes, got " + sources.Excerpt(x.at, 40))
	}
	for i := 0; i < len(x.at); i++ {
		switch x.at[i] {
		case '\\':
			i++
		case '"':
			x.scratch = unescape(x.scratch[:0], x.at[:i])
			x.at = x.at[i+1:]
			return x.scratch, nil
		}
	}
	return nil, errors.New("a string in quotes has no closing quote")
}

// unescape appends a string with the escape sequences \\, \" and \n replaced. It keeps any other backslash.
func unescape(into, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			switch next := text[i+1]; next {
			case 'n':
				c = '\n'
				i++
			case '\\', '"':
				c = next
				i++
			}
		}
		into = append(into, c)
	}
	return into
}
