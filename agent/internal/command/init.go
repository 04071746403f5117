package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/infer"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

type initCmd struct {
	asking
	Output string        `short:"o" placeholder:"FILE" help:"Write the configuration to this file instead of standard output, once it is complete."`
	Force  bool          `help:"With --output, replace a file that exists."`
	Source string        `arg:"" optional:"" name:"url" help:"The URL of an API; or a file with an answer, - for standard input."`
	Once   bool          `help:"Ask once. Two answers show what changes."`
	Wait   time.Duration `default:"3s" help:"How long to wait between the two requests."`
}

// asking has the flags that describe a request.
type asking struct {
	Header []string `short:"H" sep:"none" placeholder:"NAME:VALUE" help:"A header of the request, such as 'X-Api-Key: env:API_KEY'. A secret is written to the configuration as env:NAME."`
	Data   string   `short:"d" placeholder:"BODY" help:"The body of a POST, such as a GraphQL query."`
	Auth   string   `placeholder:"NAME" help:"A login of the configuration given by -c (cton explain auth)."`
	Curl   string   `placeholder:"LINE" help:"A whole command line of curl, as a browser copies it."`
}

// maxAnswer is the maximum size of an answer that is read from a file or standard input, in bytes.
const maxAnswer = 64 << 20

// Run asks the API and proposes a configuration.
func (c *initCmd) Run(ctx context.Context, a *App, g *globals) error {
	if err := c.checkOutput(); err != nil {
		return err
	}
	i, err := newInquiry(a, g, &c.asking, c.Source)
	if err != nil {
		return err
	}
	defer i.close()
	i.output = c
	if err := i.ask(ctx); err != nil {
		return err
	}
	if i.request.Format.Exposition() && i.request.URL != nil {
		return i.scrape(ctx)
	}
	if err := i.askAgain(ctx, c); err != nil {
		return err
	}
	return i.propose(ctx)
}

// checkOutput returns an error if the file for the configuration cannot be written. It finds this out before the API is asked.
func (c *initCmd) checkOutput() error {
	switch {
	case c.Output == "" && c.Force:
		return errors.New("--force is for --output FILE")
	case c.Output == "":
		return nil
	}
	if _, err := os.Lstat(c.Output); err == nil && !c.Force {
		return fmt.Errorf("--output: %s exists: choose another name, or replace it with --force", c.Output)
	}
	if err := durable.CheckReplace(c.Output); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// write writes the configuration, without secrets, to standard output or to the file of --output. Either the file is complete, or there is
// no file.
func (i *inquiry) write(text []byte) error {
	if i.output.Output == "" {
		_, err := scrubber{i.Out, i.vault}.Write(text)
		return err
	}
	if err := i.output.checkOutput(); err != nil { // the file may have been made while the API was asked
		return err
	}
	if err := durable.ReplaceFile(i.output.Output, []byte(i.vault.Scrub(string(text)))); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// inquiry is a request to an API whose answer is analysed.
type inquiry struct {
	*App
	flags    *globals
	output   *initCmd // where the configuration is written
	asked    infer.Asking
	request  infer.Request
	recorder *recorder
	dir      string // temporary directory with the answer from standard input; "" = none
	first    *recorded
	observe  func(httpclient.Exchange)
	answers  []document.Value
	requests int // number of requests that one run makes
}

// newInquiry returns the inquiry that the command line describes.
func newInquiry(a *App, g *globals, c *asking, source string) (*inquiry, error) {
	i := &inquiry{App: a, flags: g, output: &initCmd{}, recorder: &recorder{}}
	if c.Curl != "" {
		if source != "" {
			return nil, errors.New("give either a URL or --curl, not both")
		}
		if err := i.asked.FromCurl(c.Curl); err != nil {
			return nil, fmt.Errorf("--curl: %w", err)
		}
	} else if err := i.readSource(source); err != nil {
		return nil, err
	}
	for _, header := range c.Header {
		if err := i.asked.AddHeader(header); err != nil {
			return nil, fmt.Errorf("-H: %w", err)
		}
	}
	if c.Data != "" {
		if err := i.asked.SetBody(c.Data); err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
	}
	if c.Auth != "" {
		if err := i.login(c.Auth); err != nil {
			return nil, fmt.Errorf("--auth: %w", err)
		}
	}
	if isProxied(i.asked.URL) && !strings.Contains(i.asked.Settings, "proxy_") {
		i.asked.Settings += "proxy_from_environment: true   # HTTP_PROXY, HTTPS_PROXY and NO_PROXY\n"
	}
	for _, name := range i.asked.Order {
		a.vault.Remember(i.asked.Secrets[name])
	}
	outer := a.vault.LookupEnv
	if outer == nil {
		outer = os.LookupEnv
	}
	a.vault.LookupEnv = func(name string) (string, bool) {
		if value, ok := i.asked.Secrets[name]; ok {
			return value, true
		}
		return outer(name)
	}
	i.request = i.asked.Request
	return i, nil
}

// isProxied reports whether the environment of this process has a proxy for a URL.
func isProxied(u *url.URL) bool {
	if u == nil {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return proxy != nil || err != nil // with an error the request fails, and says why
}

// readSource reads the argument: a URL, a file, or - for standard input.
func (i *inquiry) readSource(source string) error {
	isURL := strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
	switch {
	case source == "":
		return errors.New("give the URL of an API, such as: cton init https://api.example.com/v1/things")
	case isURL:
		return i.asked.SetURL(source)
	case source == "-":
		return i.readAnswer(i.In, "answer.json")
	}
	f, err := os.Open(source)
	if errors.Is(err, os.ErrNotExist) && !strings.Contains(source, "://") {
		return fmt.Errorf("there is no file %s; a URL begins with http:// or https://", source)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	i.asked.File = source
	text, err := readBounded(f)
	if err == nil {
		i.first = &recorded{status: http.StatusOK, header: http.Header{}, body: text}
	}
	return err
}

// readAnswer reads an answer from standard input and writes it to a file in a new temporary directory.
func (i *inquiry) readAnswer(from io.Reader, name string) error {
	text, err := readBounded(from)
	if err != nil {
		return err
	}
	if i.dir, err = os.MkdirTemp("", "cton-init-"); err != nil {
		return err
	}
	i.asked.File, i.asked.Stdin = name, true
	i.vault.Dir = i.dir
	i.first = &recorded{status: http.StatusOK, header: http.Header{}, body: text}
	return os.WriteFile(filepath.Join(i.dir, name), text, 0o600)
}

func readBounded(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the answer exceeds %s", setting.Bytes(maxAnswer))
	}
	return text, err
}

func (i *inquiry) close() {
	if i.dir != "" {
		os.RemoveAll(i.dir)
	}
}

// login copies the login with this name from the configuration.
func (i *inquiry) login(name string) error {
	doc, err := i.parse(i.flags.Config)
	if err != nil {
		return err
	}
	var all struct {
		Auth map[string]yaml.Node `yaml:"auth"`
	}
	if _, err := doc.Sinks(i.Catalogue); err != nil {
		var ofLogin config.Problems
		problems, _ := errors.AsType[config.Problems](err)
		for _, p := range problems {
			if strings.HasPrefix(p.Path+".", "auth."+name+".") {
				ofLogin = append(ofLogin, p)
			}
		}
		if len(ofLogin) > 0 {
			return ofLogin
		}
	}
	if err := doc.Root.Decode(&all); err != nil {
		return fmt.Errorf("read %s: its auth is not valid; run: cton check", i.flags.name())
	}
	node, ok := all.Auth[name]
	if !ok {
		return fmt.Errorf("%s has no login %s under auth", i.flags.name(), name)
	}
	text, err := yaml.Marshal(map[string]map[string]yaml.Node{"auth": {name: node}})
	if err != nil {
		return err
	}
	i.asked.Auth, i.asked.Logins = name, string(text)
	return nil
}

// ask sends the request and finds out which format the answer has.
func (i *inquiry) ask(ctx context.Context) error {
	if i.first == nil {
		_, err := i.fetch(ctx, infer.Probe(i.request).YAML(), nil)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i.first = i.recorder.answer(); i.first == nil {
			return &exitError{exitFetch, i.explained(err)}
		}
	}
	kind := i.first.header.Get("Content-Type")
	text, err := format.UTF8(kind, i.first.body)
	if err == nil {
		i.first.body = text
		i.request.Format, err = infer.Sniff(kind, text)
	}
	if err != nil {
		return &exitError{exitFetch, err}
	}
	root, err := i.request.Format.Decode(text)
	if err != nil {
		return &exitError{exitFetch, err}
	}
	i.answers = []document.Value{root}
	i.requests = 1
	return nil
}

// explained adds a hint to the error of an API that refuses a request without credentials. The hint says how the user can give
// credentials.
func (i *inquiry) explained(err error) error {
	status, is := errors.AsType[*httpclient.StatusError](err)
	if !is || status.Code != http.StatusUnauthorized && status.Code != http.StatusForbidden || i.asked.Auth != "" || len(i.asked.Headers) > 0 {
		return err
	}
	return fmt.Errorf(`%w; if the API needs a key, put it into an environment variable and add such as -H "X-Api-Key: env:API_KEY", or name a login of the configuration with --auth`, err)
}

// fetch runs the job of a configuration and returns its document. If answer is not nil, it answers the requests in place of the
// network.
func (i *inquiry) fetch(ctx context.Context, text []byte, answer http.RoundTripper) (document.Value, error) {
	doc, _, err := i.tick(ctx, text, answer)
	return doc, err
}

func (i *inquiry) tick(ctx context.Context, text []byte, answer http.RoundTripper) (document.Value, *tried, error) {
	plan, err := config.Load("the proposal", text, i.Catalogue)
	if err != nil {
		return document.Value{}, nil, err
	}
	var root document.Value
	b := &assembly{App: i.App, answer: answer, observe: i.observe, fetcher: func(f sources.Fetcher) sources.Fetcher { return &kept{f, &root} }}
	if answer == nil {
		b.tap = i.recorder.tap
	}
	job, err := b.buildJob(plan)
	if err != nil {
		return root, nil, err
	}
	tick, _, _ := job.NextWindow(time.Time{}, time.Now())
	result, err := job.Tick(ctx, tick, run.Steps{})
	if err != nil {
		return root, nil, err
	}
	t := &tried{problems: map[string]string{}, series: result.Series}
	for _, p := range result.Problems {
		t.add(p.Metric, p.Err.Error())
	}
	for _, d := range result.Drops {
		t.add(d.Metric, d.First)
	}
	for _, w := range result.Warnings {
		t.add(w.Metric, w.Text)
	}
	return root, t, nil
}

// tried is the result of running a proposed configuration.
type tried struct {
	problems map[string]string // what is wrong with each metric, by name
	names    []string          // names of the metrics with problems
	series   int               // number of series that were measured
}

func (t *tried) add(name, why string) {
	if t.problems[name] == "" {
		t.names = append(t.names, name)
	}
	t.problems[name] = why
}

// kept is a fetcher that stores a copy of its last document in root.
type kept struct {
	sources.Fetcher
	root *document.Value
}

func (k *kept) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := k.Fetcher.Fetch(ctx, tick, r)
	if err == nil {
		*k.root = doc.Root.Clone()
	}
	return doc, err
}

// askAgain sends the request a second time. If the first answer has further pages, it requests all pages.
func (i *inquiry) askAgain(ctx context.Context, c *initCmd) error {
	if i.request.URL == nil {
		return nil
	}
	ways := infer.WaysToPages(i.asked.URL, i.first.header, i.request.Body, i.answers[0])
	if c.Once && len(ways) == 0 {
		return nil
	}
	if !c.Once {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(c.Wait):
		}
	}
	for _, way := range ways {
		paged := i.request
		paged.Pages = &way
		before := len(i.recorder.all)
		root, err := i.fetch(ctx, infer.Probe(paged).YAML(), nil)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			i.say("pages: %s of %s does not work: %v", way.Paginate, way.Why, err)
			continue
		}
		i.request.Pages, i.answers = &way, []document.Value{root}
		i.requests = len(i.recorder.all) - before
		return nil
	}
	if c.Once {
		return nil
	}
	root, err := i.fetch(ctx, infer.Probe(i.request).YAML(), nil)
	if err != nil {
		i.say("the second request failed, so what changes is not known: %v", err)
		return nil
	}
	i.answers = append(i.answers, root)
	return nil
}

// say writes a line for the user to standard error, without secrets.
func (i *inquiry) say(format string, args ...any) {
	fmt.Fprintln(i.Err, i.vault.Scrub(strings.TrimRight(fmt.Sprintf(format, args...), "\n")))
}

// maxAttempts is how often propose removes failing metrics and tries the proposal again.
const maxAttempts = 4

// propose prints the configuration. It leaves out metrics that do not pass the check or cannot be measured in the answer.
func (i *inquiry) propose(ctx context.Context) error {
	i.request.Limits = infer.LimitsOf(i.first.header, i.requests, time.Now())
	draft := infer.New(i.request, time.Now(), i.answers...)
	var series int
	for range maxAttempts {
		_, t, err := i.tick(ctx, draft.YAML(), i.recorder)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wrong := map[string]string{}
		var problems config.Problems
		switch {
		case errors.As(err, &problems):
			for _, p := range problems {
				for _, name := range draft.Metrics() {
					if strings.HasPrefix(p.Path+".", "jobs."+draft.Job+".metrics."+name+".") {
						wrong[name] = p.Text
					}
				}
			}
			if len(wrong) == 0 {
				return fmt.Errorf("the proposal does not pass the check: %w", err)
			}
		case err != nil:
			return &exitError{exitFetch, err}
		default:
			wrong, series = t.problems, t.series
		}
		if len(wrong) == 0 {
			break
		}
		for _, name := range draft.Metrics() {
			if why, ok := wrong[name]; ok {
				draft.Drop(name, why)
			}
		}
	}
	if err := i.write(draft.YAML()); err != nil {
		return err
	}
	i.summary(draft, series)
	return nil
}

// summary shows what the answer contains and what the user can do next.
func (i *inquiry) summary(draft *infer.Draft, series int) {
	asked := "asked once"
	if len(i.answers) > 1 || i.requests > 1 || i.request.Pages != nil {
		asked = "asked twice"
	}
	if i.request.URL == nil {
		asked = "read"
	} else {
		asked += fmt.Sprintf(": %d", i.first.status)
	}
	i.say("%s, %s, %s", asked, i.request.Format, size(i.first.body))
	for _, line := range draft.Seen() {
		i.say("%s", line)
	}
	if p := i.request.Pages; p != nil {
		guess := ""
		if p.Guess {
			guess = "; the parameter is a guess: compare the number of items"
		}
		i.say("  pages: %s, %s%s", p.Why, text.Count(i.requests, "request"), guess)
	}
	i.say("%s, %d series; %s left out: see the comments", text.Count(len(draft.Metrics()), "metric"), series, text.Count(draft.Left(), "field"))
	i.next(draft.Job)
}

// size returns the size of an answer for messages, such as 12 KiB.
func size(body []byte) string {
	switch n := len(body); {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return text.Count(n, "byte")
	}
}

// next shows what the user can do with the configuration.
func (i *inquiry) next(job string) {
	if len(i.asked.Ignored) > 0 {
		i.say("not used of the curl line: %s", strings.Join(i.asked.Ignored, " "))
	}
	variables := ""
	for _, name := range slices.Sorted(slices.Values(i.asked.Order)) {
		variables += name + "=… "
	}
	where, flag := "next, with this in cton.yaml:", ""
	if file := i.output.Output; file != "" {
		where = "wrote " + file + "; next:"
		if file != "cton.yaml" {
			flag = " -c " + file
		}
	}
	i.say("%s %scton try %s%s; then: %scton run%s", where, variables, job, flag, variables, flag)
	i.say("Prometheus: add to scrape_configs:\n  - {job_name: cton, honor_labels: true, static_configs: [{targets: [\"localhost:8000\"]}]}")
}

// scrape prints a configuration that forwards the metrics of a page in Prometheus' text format.
func (i *inquiry) scrape(ctx context.Context) error {
	text := infer.ScrapeYAML(i.request)
	if _, err := config.Load("the proposal", text, i.Catalogue); err != nil {
		return fmt.Errorf("the proposal does not pass the check: %w", err)
	}
	if err := i.write(text); err != nil {
		return err
	}
	i.say("asked once: %d, Prometheus text, %s: a scrape passes it on as it is", i.first.status, size(i.first.body))
	i.next(infer.JobName(i.request))
	return ctx.Err()
}
