package command

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/sources"
)

type explainCmd struct {
	Kind string `arg:"" optional:"" help:"A kind of source or sink, or job for what every job has; without it, all are listed."`
	Job  string `help:"Show of a job's expressions which run straight on the document and which need jq." placeholder:"JOB"`
}

// Run shows the example of a kind, which names every setting, or a job's expressions.
func (c *explainCmd) Run(a *App, g *globals) error {
	if c.Job != "" {
		if c.Kind != "" {
			return fmt.Errorf("explain either a kind or, with --job, a job: leave out %s", c.Kind)
		}
		return c.explainJob(a, g)
	}
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

// explainJob has a line for each expression.
func (c *explainCmd) explainJob(a *App, g *globals) error {
	plan, err := a.load(g, c.Job)
	if err != nil {
		return err
	}
	for _, j := range plan.Jobs {
		e, ok := j.Source.(sources.Explainer)
		if !ok {
			return fmt.Errorf("jobs.%s has no jq expressions in %s: its source computes metrics in another way", j.Name, j.MetricsAt)
		}
		table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
		for _, x := range e.Explain() {
			how := "direct"
			if x.Needs != "" {
				how = "jq, for " + x.Needs
			}
			fmt.Fprintf(table, "%s.%s\t%s\t%s\n", j.MetricsAt, x.Setting, how, x.Text)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("explain %s: %w", c.Job, err)
		}
	}
	return nil
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
	add("test", "", jobtest.Example())
	return all
}
