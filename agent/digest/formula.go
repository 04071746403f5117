package digest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Bounds of a formula.
const (
	maxFormula = 4 << 10  // bytes
	maxResult  = 64 << 10 // bytes
	MaxDerives = 4        // calls of pbkdf2
)

// Formula is a template whose functions compute a text from other values and from secrets, such as
// {{ hmac "sha256" (secret "env:KEY") .nonce }}.
type Formula struct {
	text    string
	tree    *parse.Tree
	more    template.FuncMap // functions in addition to those of this package
	names   []string         // names of the values that the formula uses
	secrets []string         // references to secrets that the formula uses
	derives int              // calls of pbkdf2
}

// Verbatim implements setting.Verbatim.
func (*Formula) Verbatim() {}

// String returns the text of the formula, as the user wrote it.
func (f Formula) String() string { return f.text }

// Names returns the names of the values that the formula uses.
func (f Formula) Names() []string { return f.names }

// Secrets returns the references to secrets that the formula uses.
func (f Formula) Secrets() []string { return f.secrets }

// Derives returns the number of calls of pbkdf2, which are slow.
func (f Formula) Derives() int { return f.derives }

// UnmarshalText compiles a formula. The names of its values are single words, such as .nonce.
func (f *Formula) UnmarshalText(text []byte) error {
	parsed, err := ParseFormula(string(text), nil, func(names []string) error {
		if len(names) > 1 {
			return fmt.Errorf(".%s: want one name, such as .nonce", strings.Join(names, "."))
		}
		return nil
	})
	if err == nil {
		*f = *parsed
	}
	return err
}

// ParseFormula compiles a formula. The formula can also call the functions in the argument "more". ParseFormula calls the function
// "known" with each name in the formula, such as [Window Start] for .Window.Start. This function must return an error if no value has the
// name. In the values for Compute, this value has the key "Window.Start".
func ParseFormula(text string, more template.FuncMap, known func(name []string) error) (*Formula, error) {
	if len(text) > maxFormula {
		return nil, fmt.Errorf("want at most %d KiB", maxFormula>>10)
	}
	f := &Formula{text: text, more: more}
	none := functions(func(string) (string, error) { return "", nil }, func(s string, _ ...string) string { return s }, time.Time{})
	t, err := template.New("").Funcs(none).Funcs(more).Parse(text)
	if err != nil {
		return nil, f.explain(err)
	}
	if len(t.Templates()) > 1 || t.Tree == nil {
		return nil, errors.New("want a text with values in {{ }}, without define and block")
	}
	maps.Copy(none, more)
	w := &walk{formula: f, functions: none, known: known}
	f.tree = t.Tree
	return f, w.node(t.Tree.Root)
}

// explain removes the prefix of an error of text/template, which names the template and a position. If the error is that a function does
// not exist, explain adds the names of the functions that exist.
func (f *Formula) explain(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+len(">: "):]
	} else if rest, ok := strings.CutPrefix(text, "template: :1: "); ok {
		text = rest
	}
	text = strings.TrimPrefix(text, "error calling ")
	if strings.HasPrefix(text, "function ") {
		all := functions(nil, nil, time.Time{})
		maps.Copy(all, f.more)
		text += ": there are " + strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	}
	return errors.New(text)
}

// walk visits the nodes of a parsed formula, checks that each is allowed, and collects names and secrets.
type walk struct {
	formula   *Formula
	functions template.FuncMap
	known     func(name []string) error
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
		for i, c := range n.Cmds {
			if err := w.command(c, min(i, 1)); err != nil {
				return err
			}
		}
		return w.tryConstant(n)
	case *parse.FieldNode:
		name := strings.Join(n.Ident, ".")
		if err := w.known(n.Ident); err != nil {
			return err
		}
		w.formula.names = append(w.formula.names, name)
		n.Ident = []string{name} // the key in the values of Compute
		return nil
	case *parse.IdentifierNode:
		if _, ours := w.functions[n.Ident]; ours {
			return nil
		}
		return w.formula.explain(fmt.Errorf("function %q is not allowed", n.Ident))
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.CommentNode:
		return nil
	}
	return fmt.Errorf("%s is not allowed", node)
}

// command checks the call of a function. The argument of the function "secret" must be a constant, so that the references are known before
// the formula is computed. The parameter piped is the number of arguments that the call gets from the previous call in a pipeline.
func (w *walk) command(c *parse.CommandNode, piped int) error {
	if name, ok := c.Args[0].(*parse.IdentifierNode); ok {
		if err := w.countArguments(name.Ident, len(c.Args)-1+piped); err != nil && name.Ident != "secret" {
			return err
		}
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
		case "hmac", "pbkdf2":
			if err := checkHash(c); err != nil {
				return err
			}
			if name.Ident != "pbkdf2" {
				break
			}
			if w.formula.derives++; w.formula.derives > MaxDerives {
				return ErrDerives
			}
		}
	}
	return w.nodes(c.Args)
}

// countArguments returns an error if a function cannot be called with n arguments.
func (w *walk) countArguments(name string, n int) error {
	f := w.functions[name]
	if f == nil {
		return nil // node returns the error
	}
	t := reflect.TypeOf(f)
	switch least := t.NumIn() - 1; {
	case t.IsVariadic() && n < least:
		return fmt.Errorf("wrong number of args for %s: want at least %d got %d", name, least, n)
	case !t.IsVariadic() && n != t.NumIn():
		return fmt.Errorf("wrong number of args for %s: want %d got %d", name, t.NumIn(), n)
	}
	return nil
}

// tryConstant computes a pipeline if all its arguments are constants, and returns the error of this computation.
func (w *walk) tryConstant(n *parse.PipeNode) error {
	if !isConstant(n) {
		return nil
	}
	t, err := template.New("").Funcs(w.functions).Parse("{{" + n.String() + "}}")
	if err == nil {
		err = t.Execute(&bounded{}, nil)
	}
	if err != nil {
		return w.formula.explain(err)
	}
	return nil
}

// isConstant reports whether the value of a node can be computed when the configuration is read: it needs no secret, time or value, and
// calls no slow function.
func isConstant(node parse.Node) bool {
	all := func(nodes []parse.Node) bool {
		return !slices.ContainsFunc(nodes, func(n parse.Node) bool { return !isConstant(n) })
	}
	switch n := node.(type) {
	case *parse.PipeNode:
		return !slices.ContainsFunc(n.Cmds, func(c *parse.CommandNode) bool { return !all(c.Args) })
	case *parse.IdentifierNode:
		return n.Ident != "secret" && n.Ident != "now" && n.Ident != "pbkdf2"
	case *parse.StringNode, *parse.NumberNode:
		return true
	}
	return false
}

// checkHash checks the first argument of a call, which names a hash function. It does nothing if this argument is not a constant.
func checkHash(c *parse.CommandNode) error {
	if len(c.Args) < 2 {
		return nil
	}
	if name, ok := c.Args[1].(*parse.StringNode); ok {
		if _, err := HashNamed(name.Text); err != nil {
			return fmt.Errorf("%s: %w", c.Args[0], err)
		}
	}
	return nil
}

var errSecret = errors.New(`want (secret "env:NAME"), (secret "file:/path") or (secret "file:/path#KEY")`)

// ErrDerives is the error for a text that calls pbkdf2 too often.
var ErrDerives = fmt.Errorf("more than %d calls of pbkdf2", MaxDerives)

// Compute evaluates the formula. The parameter "values" has a value for each name. In the formula, the function "now" returns the time in
// the parameter now; formulas that are sent together need the same time. Each result that is computed from a secret is remembered as a
// secret. Errors do not show secrets.
func (f Formula) Compute(values any, vault *setting.SecretStore, now time.Time) (string, error) {
	keep := func(result string, of ...string) string {
		for _, text := range of {
			if result != "" && vault.Scrub(text) != text {
				vault.RememberResult(result)
				break
			}
		}
		return result
	}
	read := func(reference string) (string, error) { return vault.Secret(setting.Secret(reference)) }
	t, err := template.New("").Funcs(functions(read, keep, now)).Funcs(f.more).Option("missingkey=error").AddParseTree("", f.tree)
	if err != nil {
		return "", err
	}
	var out bounded
	if err := t.Execute(&out, values); err != nil {
		return "", errors.New(vault.Scrub(f.explain(err).Error()))
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
