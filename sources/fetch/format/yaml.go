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
	"github.com/collectington/collectington/sources"
)

// Bounds on YAML documents, whose decoder takes up to 500 bytes a value.
const (
	maxMarks   = 90_000  // values, to judge by the characters that can begin one
	maxValues  = 500_000 // keys included, and what aliases stand for each time
	maxGrowth  = 4       // times the text's length, by aliases of texts
	maxInteger = 1000    // digits of one that is not decimal
)

// tree puts a YAML document into a builder.
type tree struct {
	built *document.Builder
	bytes int // bound of all texts
}

// yaml decodes one YAML document (YAML 1.2, core schema) as if it were JSON. Dates are texts, numbers keep their digits;
// .nan and .inf, which JSON has not, are the texts NaN, +Inf and -Inf.
func (d *Decoder) yaml(text []byte) error {
	marks := 0
	for _, mark := range []string{":", ":", ",", "-", "[", "{", "?"} { // a colon stands for a key and a value
		marks += bytes.Count(text, []byte(mark))
	}
	if marks > maxMarks {
		return fmt.Errorf("more than %d values, to judge by its punctuation", maxMarks)
	}
	d.built.Reset(2*marks, len(text))
	root, err := oneDocument(text)
	if err != nil {
		return err
	}
	t := &tree{&d.built, maxGrowth*len(text) + 4<<10}
	return t.value(root, 0)
}

// oneDocument is the stream's only document; an empty node where there is none.
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
		return nil, inLine(another.Line, "a second document, want one")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	return root, nil
}

func yamlError(err error) error {
	if many, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(many.Errors) > 0 {
		err = many.Errors[0]
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok && one.Mark.Line > 0 {
		return inLine(one.Mark.Line, "%s", sources.Excerpt([]byte(strings.TrimPrefix(one.Message, "yaml: ")), 100))
	}
	return errors.New(sources.Excerpt([]byte(strings.TrimPrefix(err.Error(), "yaml: ")), 100))
}

var errAliases = errors.New("its aliases stand for too much")

func (t *tree) value(n *yaml.Node, depth int) error {
	switch {
	case depth > document.MaxDepth:
		return document.ErrDepth // also of an alias that holds itself
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
			return inLine(key.Line, "a key that is a list or a mapping")
		case key.ShortTag() == "!!merge":
			return inLine(key.Line, "<< is not understood: it is not part of YAML 1.2")
		case seen[key.Value]:
			return inLine(key.Line, "the key %s stands twice", sources.Excerpt([]byte(key.Value), 40))
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

func (t *tree) scalar(n *yaml.Node) {
	switch n.ShortTag() {
	case "!!null":
		t.built.Literal(document.Null)
		return
	case "!!bool":
		if strings.EqualFold(n.Value, "true") {
			t.built.Literal(document.True)
		} else {
			t.built.Literal(document.False)
		}
		return
	case "!!int", "!!float":
		if t.number(n) {
			return
		}
	}
	t.built.Text([]byte(n.Value))
}

// number adds a number: decimal ones as they stand, others as what they are.
func (t *tree) number(n *yaml.Node) bool {
	plain := strings.ReplaceAll(n.Value, "_", "")
	unsigned := strings.TrimLeft(plain, "+-")
	if based := len(unsigned) > 1 && unsigned[0] == '0' && unsigned[1] != '.'; based && n.ShortTag() == "!!int" && len(plain) < maxInteger {
		if i, ok := new(big.Int).SetString(strings.TrimPrefix(plain, "+"), 0); ok {
			return t.built.Number([]byte(i.String()))
		}
	}
	if text, ok := notFinite(strings.Replace(plain, ".", "", 1)); ok {
		t.built.Text([]byte(text))
		return true
	}
	return t.built.Number([]byte(plain))
}
