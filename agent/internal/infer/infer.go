// Package infer makes a first configuration of an API's answer: it looks at what is there, and proposes metrics that are right
// at once, with a comment where it has guessed.
//
// An answer, or two answers some seconds apart, become a tree of places: what kinds of values stand where, how many, how many
// different ones. Lists, objects whose keys are names, and lists side by side become frames, whose items have columns. A column
// has a role: a number to measure, a time, a state, a label, a name, an id. The roles decide what a list is: things that stay
// (a series each), events (counted, and observed once), values over time (the newest one), or items without a name (their
// number and sums). The same answers always give the same text.
package infer

import (
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// Request is how the answer was asked for. Secrets are references such as env:API_KEY.
type Request struct {
	URL      *url.URL // without the parameters of Query; nil if the answer is a file
	Query    []Pair   // parameters that are secrets
	Headers  []Pair
	Method   string
	Body     string
	Auth     string // the name of a login
	Logins   string // the YAML of the logins at the top level
	Settings string // further settings of the request, as lines of YAML
	File     string // the file of the answer
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

// New proposes a configuration for the last of the answers. Values that change are found in those before it, which have the
// same schema.
func New(r Request, now time.Time, answers ...document.Value) *Draft {
	d := &Draft{Job: jobName(r), request: r, answers: len(answers)}
	p := &plan{job: d.Job, clock: now}
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

// Drop removes a metric that cannot be measured, with the reason.
func (d *Draft) Drop(name, why string) {
	for i, m := range d.plan.metrics {
		if m.name == name {
			d.plan.metrics = append(d.plan.metrics[:i:i], d.plan.metrics[i+1:]...)
			d.plan.leaveOut("%s: %s", name, why)
			return
		}
	}
}

// Seen returns what was seen, a line each, for people.
func (d *Draft) Seen() []string { return d.plan.notes }

// Left returns how many fields are left out.
func (d *Draft) Left() int { return len(d.plan.left) }
