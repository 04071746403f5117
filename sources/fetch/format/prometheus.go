package format

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// family is what comments say of a metric.
type family struct {
	kind, help document.TextRef
	hasKind    bool
	hasHelp    bool
	parts      []string // the suffixes of its samples
}

// exposition decodes the Prometheus text format, version 0.0.4 and 1.0.0, to a list of samples:
// {name, type, help, labels, value, timestamp}. Help and timestamp (milliseconds) stand where there is one. Numbers keep
// their digits; NaN, +Inf and -Inf, which JSON has not, are texts.
type exposition struct {
	built    *document.Builder
	families map[string]*family
	keys     map[string]document.TextRef // those of a sample, and what is said of samples without a type
	seen     map[string]bool             // labels of the sample under way
	at       []byte                      // the rest of the line
	scratch  []byte
}

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

// comment takes what HELP and TYPE say; all else is for people.
func (x *exposition) comment() error {
	x.at = x.at[1:]
	x.space()
	word := string(x.word())
	if word != "HELP" && word != "TYPE" || len(x.at) == 0 {
		return nil // a word with nothing behind it is a comment too
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
		return errors.New("want counter, gauge, histogram, summary or untyped as a type, got " + sources.Excerpt([]byte(kind), 40))
	}
	f.kind, f.hasKind = x.built.Keep([]byte(kind)), true
	return nil
}

// of is the family of a sample's name.
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

// sample is name{labels} value timestamp, or {"name", labels} value timestamp.
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
			return errors.New("a sample without a name")
		}
		x.describe(quoted)
	}
	return x.numbers()
}

// describe adds the sample's name, and what comments have said of it.
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

// numbers is the sample's value and, where there is one, its timestamp.
func (x *exposition) numbers() error {
	x.space()
	word := x.word()
	x.built.TextAt(x.keys["value"])
	if !x.built.Number(word) {
		text, ok := notFinite(string(word))
		if !ok {
			return errors.New("want a number as value, got " + sources.Excerpt(word, 40))
		}
		x.built.Text([]byte(text))
	}
	x.space()
	if len(x.at) > 0 {
		word = x.word()
		x.built.TextAt(x.keys["timestamp"])
		if bytes.ContainsAny(word, ".eE") || !x.built.Number(word) {
			return errors.New("want milliseconds as timestamp, got " + sources.Excerpt(word, 40))
		}
	}
	x.built.End()
	if x.space(); len(x.at) > 0 {
		return errors.New("text after the timestamp: " + sources.Excerpt(x.at, 40))
	}
	return nil
}

// notFinite is the one spelling of what Go's ParseFloat reads as NaN or an infinity.
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
