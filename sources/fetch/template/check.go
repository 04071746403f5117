package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template/parse"
)

// allowed walks the parsed template: text, and values through functions of ours.
func allowed(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		return allAllowed(n.Nodes)
	case *parse.ActionNode:
		return allowed(n.Pipe)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("a template has no variables")
		}
		return allAllowed(n.Cmds)
	case *parse.CommandNode:
		return allAllowed(n.Args)
	case *parse.FieldNode:
		name := "." + strings.Join(n.Ident, ".")
		if name != ".Window.Start" && name != ".Window.End" && name != ".Now" {
			return fmt.Errorf("no value %s: %w", name, errNoValue)
		}
	case *parse.IdentifierNode:
		if _, ours := functions()[n.Ident]; !ours {
			return fmt.Errorf("no function %s: %w", n.Ident, errNoFunc)
		}
	case *parse.TextNode, *parse.StringNode, *parse.CommentNode:
	default:
		return fmt.Errorf("%s has no place in a template: %w", node, errNoValue)
	}
	return nil
}

func allAllowed[N parse.Node](nodes []N) error {
	for _, n := range nodes {
		if err := allowed(n); err != nil {
			return err
		}
	}
	return nil
}

// parseError leaves the library's own prefix, "template: :1: ", out of an error.
func parseError(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: :")
	if line, rest, found := strings.Cut(text, ": "); found {
		if _, err := strconv.Atoi(line); err == nil {
			text = rest
		}
	}
	if strings.HasPrefix(text, "function ") {
		return fmt.Errorf("%s: %w", text, errNoFunc)
	}
	return errors.New(text)
}

// runError keeps the end of an error of the library, which is what one of our functions said.
func runError(err error) error {
	if errors.Is(err, errTooLong) {
		return errTooLong
	}
	text := err.Error()
	if i := strings.LastIndex(text, ">: "); i >= 0 {
		text = text[i+len(">: "):]
	}
	return errors.New(strings.TrimPrefix(text, "error calling "))
}
