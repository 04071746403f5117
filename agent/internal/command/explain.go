package command

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/internal/legacy"
)

type explainCmd struct {
	Kind   string `arg:"" optional:"" help:"A kind of fetcher, source or sink, or job for the settings of every job; default: list all."`
	Schema bool   `help:"Print a JSON Schema of the configuration, for editors."`
	Job    string `help:"Show which expressions of a job are evaluated directly on the document, and which need jq." placeholder:"JOB"`
}

// Run shows the list of kinds, the example of one kind (with every setting), the schema, or the expressions of a job.
func (c *explainCmd) Run(a *App, g *globals) error {
	if c.Job != "" {
		if c.Kind != "" {
			return fmt.Errorf("explain either a kind or a job, not both: leave out %s, or --job", c.Kind)
		}
		return c.explainJob(a, g)
	}
	if c.Schema {
		schema, err := a.Catalogue.Schema()
		if err != nil {
			return err
		}
		_, err = a.Out.Write(schema)
		return err
	}
	examples := explanations(a.Catalogue)
	if c.Kind == "" {
		for _, e := range examples {
			fmt.Fprintf(a.Out, "%-14s %s\n", e.name, e.what)
		}
		fmt.Fprintln(a.Out, "\nTo see the settings of one, run: cton explain KIND")
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
	return noSuch("kind", c.Kind, names)
}

// explainJob shows a line for each expression of the job: how it is evaluated, and its text.
func (c *explainCmd) explainJob(a *App, g *globals) error {
	plan, err := a.loadFor(g, legacy.Options{Service: c.Job})
	if err != nil {
		return err
	}
	for _, j := range plan.Jobs {
		if j.SourceKind.Expressions == nil {
			return fmt.Errorf("jobs.%s has no jq expressions in %s: its source computes metrics in another way", j.Name, j.MetricsAt)
		}
		table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
		for _, x := range j.SourceKind.Expressions(j.SourceConfig) {
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

type explanation struct{ name, what, text string }

// explanations returns everything that can be explained: jobs, logins, each kind of fetcher, source and sink, and tests. The first
// line of an example says what its kind is for.
func explanations(kinds config.Catalogue) []explanation {
	all := []explanation{{"job", "what every job has", config.Example()}}
	add := func(name, what, text string) {
		first, _, _ := strings.Cut(text, "\n")
		if about, ok := strings.CutPrefix(first, "# "); ok {
			what = about
		}
		all = append(all, explanation{name, what, text})
	}
	add("auth", "", auth.Example())
	for _, k := range kinds.Fetchers {
		add(k.Name, "where data comes from", k.Example)
	}
	for _, k := range kinds.Sources {
		add(k.Name, "how readings are computed", k.Example)
	}
	for _, k := range kinds.Sinks {
		add(k.Name, "a sink", k.Example)
	}
	add("test", "", jobtest.Example())
	return all
}
