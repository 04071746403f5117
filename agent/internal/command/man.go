package command

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct{}

// Run shows the manual page, written with the macros of man(7).
func (manCmd) Run(a *App, parsed *kong.Context) error {
	p := &manual{}
	p.macro("TH", "CTON", "1", "", "cton "+a.Version, "")
	p.macro("SH", "NAME")
	p.text("cton - turn any API into Prometheus metrics and deliver them")
	p.macro("SH", "SYNOPSIS")
	p.text("cton [COMMAND] [FLAGS]")
	p.macro("SH", "DESCRIPTION")
	p.text(parsed.Model.Help + " The settings of the configuration: cton explain.")
	p.macro("SH", "FLAGS")
	p.flags(parsed.Model.Node)
	p.macro("SH", "COMMANDS")
	for _, leaf := range parsed.Model.Leaves(true) {
		p.macro("SS", strings.TrimPrefix(leaf.FullPath(), "cton "))
		var words []string
		for _, arg := range leaf.Positional {
			words = append(words, arg.Summary())
		}
		p.text(strings.TrimSpace(leaf.FullPath() + " [FLAGS] " + strings.Join(words, " ")))
		p.macro("PP")
		p.text(leaf.Help)
		for _, arg := range leaf.Positional {
			p.item(arg.Summary(), arg.Help)
		}
		p.flags(leaf)
	}
	p.macro("SH", "EXIT STATUS")
	for _, code := range []string{"0 ok", "1 the configuration or the command line is wrong, or a test failed", "2 no job could be measured", "3 something could not be delivered", "4 some job or metric could not be measured; the rest was delivered"} {
		number, what, _ := strings.Cut(code, " ")
		p.item(number, what)
	}
	p.macro("SH", "ENVIRONMENT")
	for _, f := range parsed.Model.Flags {
		for _, name := range f.Envs {
			p.item(name, "sets --"+f.Name)
		}
	}
	p.item("NO_COLOR", "if it is set, no output is coloured")
	p.macro("SH", "SIGNALS")
	p.item("SIGHUP", "reads the configuration again")
	p.item("SIGINT, SIGTERM", "end the agent in order; a second one ends it immediately")
	fmt.Fprint(a.Out, p.String())
	return nil
}

// manual writes a manual page.
type manual struct{ strings.Builder }

// macro writes a line with a macro and its arguments.
func (p *manual) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, arg := range args {
		p.WriteString(` "` + strings.ReplaceAll(roff(arg), `"`, `\(dq`) + `"`)
	}
	p.WriteByte('\n')
}

// text writes text as a line.
func (p *manual) text(text string) {
	line := roff(text)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	p.WriteString(line + "\n")
}

// item writes a term and what it means.
func (p *manual) item(term, text string) {
	p.macro("TP")
	p.macro("B", term)
	p.text(text)
}

func (p *manual) flags(n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		if !f.IsBool() {
			name += " " + f.FormatPlaceHolder()
		}
		p.item(name, f.Help)
	}
}

// roff escapes text for roff.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
}
