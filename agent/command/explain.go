package command

import (
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/auth"
	"github.com/collectington/collectington/agent/config"
	"github.com/collectington/collectington/agent/rehearse"
)

type explainCmd struct {
	Kind string `arg:"" optional:"" help:"A kind of source or sink, or job for what every job has; without it, all are listed."`
}

// Run shows the example of a kind, which names every setting.
func (c *explainCmd) Run(a *App) error {
	examples := a.examples()
	if c.Kind == "" {
		for _, e := range examples {
			fmt.Fprintf(a.Out, "%-14s %s\n", e.name, e.what)
		}
		fmt.Fprintln(a.Out, "\nSee the settings of one with: cton explain KIND")
		return nil
	}
	var names []string
	for _, e := range examples {
		if e.name == c.Kind {
			fmt.Fprint(a.Out, e.text)
			return nil
		}
		names = append(names, e.name)
	}
	return fmt.Errorf("no kind %q; there are %s", c.Kind, strings.Join(names, ", "))
}

type example struct{ name, what, text string }

// examples are what can be explained: the file, then its kinds. What a kind is for stands in its example's first line.
func (a *App) examples() []example {
	all := []example{{"job", "what every job has", config.Example()}}
	add := func(name, what, text string) {
		first, _, _ := strings.Cut(text, "\n")
		if about, ok := strings.CutPrefix(first, "# "); ok {
			what = about
		}
		all = append(all, example{name, what, text})
	}
	add("auth", "", auth.Example())
	for _, k := range a.Catalogue.Fetchers {
		add(k.Name, "where data comes from", k.Example)
	}
	for _, k := range a.Catalogue.Sources {
		add(k.Name, "how readings are computed", k.Example)
	}
	for _, k := range a.Catalogue.Sinks {
		add(k.Name, "a sink", k.Example)
	}
	add("test", "", rehearse.Example())
	return all
}
