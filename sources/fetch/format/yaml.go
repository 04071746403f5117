package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/document"
	agenttext "github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Limits of YAML documents. The decoder needs up to 500 bytes of memory per value.
const (
	maxMarks   = 90_000  // values, estimated from the number of characters that can begin a value
	maxValues  = 500_000 // values, including keys and expanded aliases
	maxGrowth  = 4       // size of all strings after expanding aliases, as a multiple of the text's length
	maxInteger = 1000    // digits of an integer that is not decimal
)

// tree builds a document from a YAML document.
type tree struct {
	built *document.Builder
	bytes int // maximum size of all strings together
}

// yaml decodes one YAML document (YAML 1.2, core schema). Dates become strings, and numbers keep all their digits. The numbers .nan
// and .inf become the strings NaN, +Inf and -Inf, since JSON has no such numbers.
func (d *Decoder) yaml(text []byte) error {
	marks := agenttext.Values(text)
	if marks > maxMarks {
		return fmt.Errorf("has more than %d values, estimated from its punctuation: use JSON for a document of this size", maxMarks)
	}
	d.built.Reset(2*marks, len(text))
	if (&lines{built: &d.built}).read(text) {
		return nil
	}
	d.built.Reset(2*marks, len(text))
	return d.anyYAML(text)
}

// anyYAML decodes a YAML document with the library.
func (d *Decoder) anyYAML(text []byte) error {
	root, err := oneDocument(text)
	if err != nil {
		return err
	}
	t := &tree{&d.built, maxGrowth*len(text) + 4<<10}
	return t.value(root, 0)
}

// oneDocument returns the only document of a stream, or an empty node if there is none.
func oneDocument(text []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, yamlError(err)
	}
	root, another := &yaml.Node{}, &yaml.Node{}
	if err := loader.Load(root); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(err)
	}
	switch err := loader.Load(another); {
	case err == nil:
		return nil, inLine(another.Line, "has a second document: only one is supported")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	return root, nil
}

// yamlError returns the first error of the decoder with the number of the line.
func yamlError(err error) error {
	if many, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(many.Errors) > 0 {
		err = many.Errors[0]
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok && one.Mark.Line > 0 {
		return inLine(one.Mark.Line, "%s", sources.Excerpt([]byte(strings.TrimPrefix(one.Message, "yaml: ")), 100))
	}
	return errors.New(sources.Excerpt([]byte(strings.TrimPrefix(err.Error(), "yaml: ")), 100))
}

var errAliases = errors.New("its aliases expand to too much data")

// value builds any value.
func (t *tree) value(n *yaml.Node, depth int) error {
	switch {
	case depth > document.MaxDepth:
		return document.ErrDepth // also the error of an alias that contains itself
	case t.built.Values() > maxValues || t.built.Bytes() > t.bytes:
		return errAliases
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return t.value(n.Content[0], depth)
	case yaml.AliasNode:
		return t.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		t.built.Begin(document.Array)
		for _, item := range n.Content {
			if err := t.value(item, depth+1); err != nil {
				return err
			}
		}
		t.built.End()
	case yaml.MappingNode:
		return t.mapping(n, depth)
	case yaml.ScalarNode:
		t.scalar(n)
	default:
		t.built.Literal(document.Null) // an empty document
	}
	return nil
}

// mapping builds an object.
func (t *tree) mapping(n *yaml.Node, depth int) error {
	seen := make(map[string]bool, len(n.Content)/2)
	t.built.Begin(document.Object)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			return inLine(key.Line, "a key is a list or a mapping, want a scalar")
		case key.ShortTag() == "!!merge":
			return inLine(key.Line, "the merge key << is not supported: it is not part of YAML 1.2")
		case seen[key.Value]:
			return inLine(key.Line, "duplicate key %s", sources.Excerpt([]byte(key.Value), 40))
		}
		seen[key.Value] = true
		t.built.Text([]byte(key.Value))
		if err := t.value(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	t.built.End()
	return nil
}

// scalar builds a value that is neither a list nor a mapping.
func (t *tree) scalar(n *yaml.Node) {
	switch n.ShortTag() {
	case "!!null":
		t.built.Literal(document.Null)
		return
	case "!!bool":
		switch { // any other value with this tag stays a string: it is not a boolean of YAML 1.2
		case strings.EqualFold(n.Value, "true"):
			t.built.Literal(document.True)
			return
		case strings.EqualFold(n.Value, "false"):
			t.built.Literal(document.False)
			return
		}
	}
	if t.isNumber(n) && number(t.built, []byte(n.Value)) {
		return
	}
	t.built.Text([]byte(n.Value))
}

// isNumber reports whether a value may be a number: it has no quotes, or it has a tag for numbers. The tag ! makes a string of any scalar
// (YAML 1.2 section 6.9.1).
func (t *tree) isNumber(n *yaml.Node) bool {
	const texts = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Tag == "!" {
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return n.ShortTag() == "!!int" || n.ShortTag() == "!!float"
	}
	return n.Style&texts == 0
}

// number builds a number of the core schema (YAML 1.2 section 10.3.2), and returns false if text is not a number. A decimal number keeps
// its digits; other numbers are converted. Unlike in YAML 1.1, 010 is ten, and 1_000 and 0b1 are strings.
func number(built *document.Builder, text []byte) bool {
	base := 0
	switch {
	case bytes.HasPrefix(text, []byte("0o")):
		base = 8
	case bytes.HasPrefix(text, []byte("0x")):
		base = 16
	}
	if base > 0 && len(text)-2 < maxInteger && !bytes.ContainsAny(text[2:], "+-_") {
		if i, ok := new(big.Int).SetString(string(text[2:]), base); ok {
			return built.Number([]byte(i.String()))
		}
	}
	switch string(text) {
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		if word, ok := notFinite(strings.Replace(string(text), ".", "", 1)); ok {
			built.Text([]byte(word))
			return true
		}
	}
	return built.Number(text)
}
