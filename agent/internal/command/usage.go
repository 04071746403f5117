package command

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/text"
)

// misused translates an error of the command-line parser into a message for the user that says what to do. It returns other errors
// unchanged.
func misused(err error) error {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok || parse.Context == nil {
		return err
	}
	text, node := parse.Error(), parse.Context.Selected()
	if node == nil {
		node = parse.Context.Model.Node
	}
	find := func(pattern string) string {
		if parts := regexp.MustCompile(pattern).FindStringSubmatch(text); parts != nil {
			return parts[1]
		}
		return ""
	}
	see := "see: " + command(node) + " --help"
	switch {
	case find(`^(unexpected argument) `) != "":
		return unexpected(parse.Context, find(`^unexpected argument ([^,]*)`))
	case find(`^unknown flag (-[^,]*)`) != "":
		name := find(`^unknown flag (-[^,]*)`)
		return sentences(unknown("flag", name, flagNames(parse.Context)), see)
	case find(`^(--?[\w-]+): (?:expected \w+ value but got "EOL"|missing value)`) != "":
		return sentences("the flag "+find(`^(--?[\w-]+): `)+" needs a value", see)
	case find(`^(--?[\w-]+): expected duration `) != "":
		return fmt.Errorf("%s: want a duration such as 30s or 5m, got %s", find(`^(--?[\w-]+): `), find(`but got ("[^"]*")`))
	case find(`^missing flags: (.*)$`) != "":
		return needs(node, strings.ReplaceAll(find(`^missing flags: (.*)$`), "=", " "))
	case find(`^expected "(<.*)"$`) != "":
		return needs(node, strings.ToUpper(strings.NewReplacer("<", "", ">", "", " ...", "…").Replace(find(`^expected "(<.*)"$`))))
	case find(`^expected (.*)$`) != "":
		return needs(node, strings.ReplaceAll(find(`^expected (.*)$`), `"`, ""))
	case find(`^\[?<(\w+)>.*: expected `) != "":
		return fmt.Errorf("%s: want a number, got %s", strings.ToUpper(find(`^\[?<(\w+)>`)), find(`but got ("[^"]*")`))
	case find(`^(--[\w-]+ must be one of) `) != "":
		return errors.New(strings.NewReplacer(`"",`, "", `","`, ", ", `"`, "", " but got ", ", got ").Replace(text))
	}
	return err
}

// unexpected returns the error about an argument that the command does not accept. If the command line names no command, the user
// meant the argument as a command.
func unexpected(c *kong.Context, arg string) error {
	named := slices.ContainsFunc(c.Path, func(p *kong.Path) bool { return p.Command != nil && p.Command != c.Model.DefaultCmd })
	if !named && !slices.Contains(c.Args, c.Model.DefaultCmd.Name) {
		return sentences(unknown("command", arg, childNames(c.Model.Node)), "see: cton help")
	}
	node := c.Selected()
	for _, p := range c.Path { // Selected returns nil if a command needs a sub-command: find the command
		if node == nil && p.Command != nil {
			node = p.Command
		}
	}
	if len(node.Children) > 0 {
		known := childNames(node)
		return sentences(unknown("command", arg, known), "there are "+list(known))
	}
	if node.Name == "exec" { // the argument belongs to the command that exec should run
		return errors.New("cton exec takes one name, and then -- and the command: cton exec NAME -- COMMAND")
	}
	return fmt.Errorf("%s takes no argument %q; see: %s --help", command(node), arg, command(node))
}

// needs returns the error that a required flag or argument is missing.
func needs(node *kong.Node, what string) error {
	return fmt.Errorf("%s needs %s; see: %s --help", command(node), what, command(node))
}

// sentences returns an error that says what is wrong and what helps. If the text "wrong" ends with a question mark, the text "help"
// becomes a new sentence.
func sentences(wrong, help string) error {
	if strings.HasSuffix(wrong, "?") {
		return errors.New(wrong + " " + strings.ToUpper(help[:1]) + help[1:])
	}
	return errors.New(wrong + "; " + help)
}

// command returns a command as the user types it.
func command(node *kong.Node) string { return strings.TrimSpace(node.FullPath()) }

func childNames(node *kong.Node) []string {
	var names []string
	for _, child := range node.Children {
		names = append(names, child.Name)
	}
	return names
}

// flagNames returns the names of all flags that are valid for the parsed command.
func flagNames(c *kong.Context) []string {
	var names []string
	for _, f := range c.Flags() {
		names = append(names, "--"+f.Name)
	}
	return names
}

// unknown returns a message for an unknown name. If there is a similar known name, the message asks whether the user meant it.
func unknown(what, name string, known []string) string {
	text := fmt.Sprintf("unknown %s %q", what, name)
	if meant := config.Closest(name, known); meant != "" && len(name) > 2 {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return text
}

// maxListed is the maximum number of names that an error lists.
const maxListed = 30

// noSuch returns the error that says that nothing in the configuration has this name. It lists the known names.
func noSuch(what, name string, known []string) error {
	text := fmt.Sprintf("no %s is named %q", what, name)
	if meant := config.Closest(name, known); meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return sentences(text, "there are "+list(known))
}

// list returns names in one line.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return text.List(names, maxListed)
}
