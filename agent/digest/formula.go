package digest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/collectington/collectington/agent/setting"
)

// Bounds of a formula.
const (
	maxFormula = 4 << 10  // bytes
	maxResult  = 64 << 10 // bytes
	maxDerives = 4        // calls of pbkdf2
)

// Formula is a template whose functions compute a text from other values and from secrets, such as
// {{ hmac "sha256" (secret "env:KEY") .nonce }}.
type Formula struct {
	text    string
	names   []string // names of the values that the formula uses
	secrets []string // references to secrets that the formula uses
}

// Verbatim implements setting.Verbatim.
func (*Formula) Verbatim() {}

// String returns the text of the formula, as the user wrote it.
func (f Formula) String() string { return f.text }

// Names returns the names of the values that the formula uses.
func (f Formula) Names() []string { return f.names }

// Secrets returns the references to secrets that the formula uses.
func (f Formula) Secrets() []string { return f.secrets }

// UnmarshalText compiles a formula.
func (f *Formula) UnmarshalText(text []byte) error {
	*f = Formula{text: string(text)}
	if len(text) > maxFormula {
		return fmt.Errorf("want at most %d KiB", maxFormula>>10)
	}
	none := functions(func(string) (string, error) { return "", nil }, func(s string, _ ...string) string { return s })
	t, err := template.New("").Funcs(none).Parse(f.text)
	if err != nil {
		return formulaError(err)
	}
	if len(t.Templates()) > 1 || t.Tree == nil {
		return errors.New("want a text with values in {{ }}, without define and block")
	}
	w := &walk{formula: f, functions: none}
	return w.node(t.Tree.Root)
}

// formulaError removes the prefix of an error of text/template, which names the template and a position. If a function does not exist,
// it adds the functions that do.
func formulaError(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+len(">: "):]
	} else if rest, ok := strings.CutPrefix(text, "template: :1: "); ok {
		text = rest
	}
	text = strings.TrimPrefix(text, "error calling ")
	if strings.HasPrefix(text, "function ") {
		text += ": there are " + strings.Join(slices.Sorted(maps.Keys(functions(nil, nil))), ", ")
	}
	return errors.New(text)
}

// walk visits the nodes of a parsed formula, checks that each is allowed, and collects names and secrets.
type walk struct {
	formula   *Formula
	functions template.FuncMap
	derives   int
}

func (w *walk) nodes(all []parse.Node) error {
	for _, n := range all {
		if err := w.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) node(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		return w.nodes(n.Nodes)
	case *parse.ActionNode:
		return w.node(n.Pipe)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("variables are not allowed")
		}
		for _, c := range n.Cmds {
			if err := w.command(c); err != nil {
				return err
			}
		}
		return nil
	case *parse.FieldNode:
		if len(n.Ident) > 1 {
			return fmt.Errorf("%s: want one name, such as .nonce", n)
		}
		w.formula.names = append(w.formula.names, n.Ident[0])
		return nil
	case *parse.IdentifierNode:
		if _, ours := w.functions[n.Ident]; ours {
			return nil
		}
		return formulaError(fmt.Errorf("function %q is not allowed", n.Ident))
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.CommentNode:
		return nil
	}
	return fmt.Errorf("%s is not allowed", node)
}

// command checks the call of a function. The argument of secret must be a constant, so that the references are known before the
// formula is computed.
func (w *walk) command(c *parse.CommandNode) error {
	if name, ok := c.Args[0].(*parse.IdentifierNode); ok {
		switch name.Ident {
		case "secret":
			if len(c.Args) != 2 {
				return errSecret
			}
			reference, ok := c.Args[1].(*parse.StringNode)
			if !ok || !setting.IsReference(reference.Text) {
				return errSecret
			}
			w.formula.secrets = append(w.formula.secrets, reference.Text)
		case "pbkdf2":
			if w.derives++; w.derives > maxDerives {
				return fmt.Errorf("more than %d calls of pbkdf2", maxDerives)
			}
		}
	}
	return w.nodes(c.Args)
}

var errSecret = errors.New(`want (secret "env:NAME"), (secret "file:/path") or (secret "file:/path#KEY")`)

// Compute evaluates the formula with values. Each result that is computed from a secret is remembered as a secret. Errors do not show
// secrets.
func (f Formula) Compute(values map[string]string, vault *setting.SecretStore) (string, error) {
	keep := func(result string, of ...string) string {
		for _, text := range of {
			if result != "" && vault.Scrub(text) != text {
				vault.Remember(result)
				break
			}
		}
		return result
	}
	read := func(reference string) (string, error) { return vault.Secret(setting.Secret(reference)) }
	t, err := template.New("").Funcs(functions(read, keep)).Option("missingkey=error").Parse(f.text)
	if err != nil {
		return "", formulaError(err)
	}
	var out bounded
	if err := t.Execute(&out, values); err != nil {
		return "", errors.New(vault.Scrub(formulaError(err).Error()))
	}
	return out.String(), nil
}

// bounded is a buffer of at most maxResult bytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxResult {
		return 0, fmt.Errorf("gives more than %d KiB", maxResult>>10)
	}
	return b.Buffer.Write(p)
}
