package http

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template/parse"
	"time"

	"github.com/collectington/collectington/agent/digest"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/template"
)

// formula is a value that is computed from times, fields of an item and secrets, such as
// {{ hmac "sha256" (secret "env:KEY") (unix .Now) }}.
type formula struct {
	*digest.Formula
	fields map[string][]string // path of the item's field by its name in the formula
}

// parseFormulas compiles a text from which parseItems has cut the item fields, such as {{ .Item.id }}. An action that calls a function
// of [digest] becomes a formula. All other text is compiled by [template.Parse].
func parseFormulas(text string, items bool) ([]templatePart, error) {
	tree, err := parseTree(text)
	if err != nil || tree == nil {
		if errors.Is(err, template.ErrDefine) {
			return nil, err
		}
		compiled, err := template.Parse(text) // without formulas, or with an error in their syntax
		return []templatePart{{text: compiled}}, err
	}
	var parts []templatePart
	var plain strings.Builder
	end := func(f *formula) error {
		compiled, err := template.Parse(plain.String())
		parts = append(parts, templatePart{text: compiled, formula: f})
		plain.Reset()
		return err
	}
	for _, node := range tree.Root.Nodes {
		if !computes(node) {
			plain.WriteString(node.String())
			continue
		}
		f, err := newFormula(node.String(), items)
		if err == nil {
			err = end(f)
		}
		if err != nil {
			return nil, err
		}
	}
	return parts, end(nil)
}

// parseTree parses a text. It returns nil if the text cannot contain a formula.
func parseTree(text string) (*parse.Tree, error) {
	if !strings.Contains(text, "{{") {
		return nil, nil
	}
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	all := map[string]*parse.Tree{}
	_, err := tree.Parse(text, "", "", all)
	if err == nil && len(all) > 1 {
		return nil, template.ErrDefine
	}
	if err != nil || !slices.ContainsFunc(tree.Root.Nodes, computes) {
		return nil, err
	}
	return tree, nil
}

// computes reports whether an action calls a function other than those of [template].
func computes(node parse.Node) bool {
	switch n := node.(type) {
	case *parse.ActionNode:
		return computes(n.Pipe)
	case *parse.PipeNode:
		return slices.ContainsFunc(n.Cmds, func(c *parse.CommandNode) bool { return slices.ContainsFunc(c.Args, computes) })
	case *parse.IdentifierNode:
		return template.Functions()[n.Ident] == nil
	}
	return false
}

// newFormula compiles an action. It also evaluates the formula once with made-up values, to find most errors before the first tick.
func newFormula(action string, items bool) (*formula, error) {
	f := &formula{fields: map[string][]string{}}
	times := template.Values(sources.Tick{})
	var err error
	f.Formula, err = digest.ParseFormula(action, template.Functions(), func(name []string) error {
		joined := strings.Join(name, ".")
		if items && name[0] == "Item" {
			f.fields[joined] = append([]string{}, name[1:]...)
			return nil
		}
		if times[joined] == nil {
			return fmt.Errorf("no value .%s: %w", joined, template.ErrNoValue)
		}
		return nil
	})
	if err != nil || f.Derives() > 0 {
		return f, err
	}
	for name := range f.fields {
		times[name] = "1"
	}
	if _, err := f.Compute(times, anySecrets(), time.Now()); err != nil && strings.Contains(err.Error(), "wrong ") {
		return nil, explainType(err)
	}
	return f, nil
}

// anySecrets returns a store in which each reference has a value.
func anySecrets() *setting.SecretStore {
	return &setting.SecretStore{StandIns: []string{}, LookupEnv: func(string) (string, bool) { return "secret", true }}
}

// explainType explains the error for a time where a function wants a text.
func explainType(err error) error {
	if strings.Contains(err.Error(), "got template.moment") {
		return errors.New("a function gets a time, but wants a text: write (unix .Now), (rfc3339 .Now) or (date \"2006-01-02\" .Now)")
	}
	return err
}

func (f *formula) namesItem() bool { return f != nil && len(f.fields) > 0 }

func (f *formula) hasSecret() bool { return f != nil && len(f.Secrets()) > 0 }

func (f *formula) hasTime() bool {
	return f != nil && slices.ContainsFunc(f.Names(), func(name string) bool { return f.fields[name] == nil })
}

// compute returns the value. The item may be nil if the formula has no item field.
func (f *formula) compute(tick sources.Tick, i *item, vault *setting.SecretStore, now time.Time) (string, error) {
	values := template.Values(tick)
	for name, path := range f.fields {
		value, err := i.field(path)
		if err != nil {
			return "", err
		}
		values[name] = value
	}
	return f.Compute(values, vault, now)
}

// checkCost returns an error if the text calls slow functions too often.
func (t itemTemplate) checkCost() error {
	n := 0
	for _, part := range t {
		if part.formula != nil {
			n += part.formula.Derives()
		}
	}
	if n > digest.MaxDerives {
		return digest.ErrDerives
	}
	return nil
}
