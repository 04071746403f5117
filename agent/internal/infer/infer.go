// Package infer makes a first configuration from an answer of an API. It examines the answer and proposes metrics that work
// without changes. Where it has guessed, it adds a comment.
//
// One or two answers, some seconds apart, are first combined into a tree. The tree says for each position in the document which kinds of
// values there are, how many, and how many different ones. Lists, objects whose keys are names, and parallel lists become frames. The
// items of a frame have columns. Each column has a role: a number to measure, a time, a state, a label, a name, an id. The roles decide
// what a list is: lasting things (one series for each), events (each is counted and observed once), values over time (the newest is
// used), or items without a name (their number and sums). The same answers always give the same configuration.
package infer

import (
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// Request describes how the answer was requested. Secrets in it are references such as env:API_KEY.
type Request struct {
	URL      *url.URL // without the parameters in Query; nil if the answer is a file
	Query    []Pair   // parameters that are secrets
	Headers  []Pair
	Method   string
	Body     string
	Auth     string // name of a login
	Logins   string // YAML of the logins at the top level
	Settings string // further settings of the request, as lines of YAML
	File     string // file with the answer
	Stdin    bool   // the answer was read from standard input; File is where the configuration expects it
	Format   Format
	Pages    *Pages // nil = one page
	Limits   Limits
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Draft is a proposed configuration.
type Draft struct {
	Job string

	request Request
	plan    *plan
	answers int
}

// New proposes a configuration for the final one of the answers. The answers before it must have the same schema: they show which values
// change.
func New(r Request, now time.Time, answers ...document.Value) *Draft {
	d := &Draft{Job: jobName(r), request: r, answers: len(answers)}
	p := &plan{job: d.Job, clock: now, answers: answers}
	d.plan = p
	find := &finder{job: singularOf(d.Job)}
	root := find.documentFrame(tree(answers...))
	p.root = root
	loadAll(root, answers)
	p.frame(root, nil, 1)
	p.trim()
	return d
}

func loadAll(f *frame, answers []document.Value) {
	f.nameColumns(answers)
	f.load(answers)
	for _, sub := range f.subs {
		loadAll(sub, answers)
	}
}

// Metrics returns the names of the proposed metrics.
func (d *Draft) Metrics() []string {
	var names []string
	for _, m := range d.plan.metrics {
		names = append(names, m.name)
	}
	return names
}

// Drop removes a metric that cannot be measured. The argument "why" has the reason.
func (d *Draft) Drop(name, why string) {
	for i, m := range d.plan.metrics {
		if m.name == name {
			d.plan.metrics = append(d.plan.metrics[:i:i], d.plan.metrics[i+1:]...)
			d.plan.leaveOut("%s: %s", name, why)
			return
		}
	}
}

// Seen returns notes on what was found in the answer, one line each.
func (d *Draft) Seen() []string { return d.plan.notes }

// Left returns the number of fields that are left out.
func (d *Draft) Left() int { return len(d.plan.left) }
