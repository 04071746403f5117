package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

// fetcher runs one command. Its buffer and decoder keep their memory from tick to tick.
type fetcher struct {
	set   *Config
	web   *httpclient.Host
	show  func(section, line string) // nil = nobody looks
	dir   string
	texts []*template.Template // of the settings' templates, in their order

	output  []byte
	decoder *format.Decoder
}

// Fetch runs the command once. Its errors begin with the program.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	from := "run " + f.program()
	doc, err := f.fetch(ctx, tick, from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

func (f *fetcher) fetch(ctx context.Context, tick sources.Tick, from string) (*sources.Document, error) {
	p, err := f.process(tick)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	code, err := p.run(ctx)
	took := time.Since(begun)
	f.output = p.stdout.text
	f.shown(p, code, took, err)
	if err == nil && !f.isOK(code) {
		err = fmt.Errorf("exit code %d", code)
	}
	if err != nil {
		return nil, f.withComplaint(err, p.stderr.text)
	}
	doc, err := f.decode(ctx, from, code, took)
	if err != nil {
		return nil, f.withComplaint(err, p.stderr.text)
	}
	return doc, nil
}

func (f *fetcher) decode(ctx context.Context, from string, code int, took time.Duration) (*sources.Document, error) {
	if f.set.Document == Output {
		text, err := format.UTF8("", f.output)
		if err != nil {
			return nil, err
		}
		return f.decoder.Decode(ctx, from, "", text)
	}
	text, err := result(code, took, f.output)
	if err != nil {
		return nil, err
	}
	return f.decoder.Decode(ctx, from, "", text) // which is JSON, since the format is auto
}

// program is what is run, for messages.
func (f *fetcher) program() string {
	if f.set.Shell != "" {
		return "/bin/sh"
	}
	return f.set.Command[0]
}

// process is the tick's command, ready to run.
func (f *fetcher) process(tick sources.Tick) (*process, error) {
	var texts []string
	for i, t := range f.texts {
		text, err := t.Execute(tick)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.set.templates()[i].path, err)
		}
		texts = append(texts, text)
	}
	env, err := f.environment()
	if err != nil {
		return nil, err
	}
	p := &process{dir: f.dir, env: env, stdin: texts[0], grace: grace}
	p.stdout = capture{text: f.output[:0], max: int(f.set.MaxOutput)}
	p.stderr = capture{max: maxComplaint}
	p.args = append([]string{f.program()}, texts[1:]...)
	if f.set.Shell != "" {
		p.args = []string{f.program(), "-c", texts[1]}
	}
	return p, nil
}

// environment is what the command needs to work at all, and what the settings name. All else stays with the agent: its
// environment is where its secrets are.
func (f *fetcher) environment() ([]string, error) {
	var all []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if value, set := os.LookupEnv(name); set {
			all = append(all, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.set.Env)) {
		text := f.set.Env[name]
		if !text.IsReference() {
			f.web.RememberNamed(name, string(text))
		}
		value, err := f.web.Secrets.Text(text)
		if err != nil {
			return nil, fmt.Errorf("env.%s: %w", name, err)
		}
		all = append(all, name+"="+value)
	}
	return all, nil
}

func (f *fetcher) isOK(code int) bool {
	if f.set.OKExitCodes == nil {
		return code == 0 || f.set.Document == Result
	}
	return slices.Contains(f.set.OKExitCodes, code)
}

// shown shows the command and what came of it.
func (f *fetcher) shown(p *process, code int, took time.Duration, err error) {
	if f.show == nil {
		return
	}
	came := fmt.Sprintf("exit code %d, %d bytes", code, len(p.stdout.text))
	if err != nil {
		came = "no end of its own"
	}
	f.show("command", fmt.Sprintf("%s\n%s in %s", strings.Join(p.args, " "), came, took.Round(time.Millisecond)))
}

// result is a command's end as JSON. As in a shell, line breaks at the output's end are not part of it.
func result(code int, took time.Duration, output []byte) ([]byte, error) {
	return json.Marshal(struct {
		ExitCode int     `json:"exit_code"`
		Seconds  float64 `json:"seconds"`
		Output   string  `json:"output"`
	}{code, took.Seconds(), string(bytes.TrimRight(output, "\r\n"))})
}

const (
	maxComplaint = 64 << 10 // kept of what a command complains of, so that a secret is seen whole and blanked
	maxShown     = 200      // bytes of a line of it that are shown
)

// withComplaint adds what the command wrote to its standard error: the first line, where a shell says what is wrong, and
// the last, where most languages do.
func (f *fetcher) withComplaint(err error, stderr []byte) error {
	text := strings.TrimSpace(f.web.Secrets.Scrub(string(stderr)))
	if text == "" {
		return err
	}
	first, rest, _ := strings.Cut(text, "\n")
	said := sources.Excerpt([]byte(strings.TrimSpace(first)), maxShown)
	if rest != "" {
		last := rest[strings.LastIndex(rest, "\n")+1:]
		said += " … " + sources.Excerpt([]byte(strings.TrimSpace(last)), maxShown)
	}
	return fmt.Errorf("%w: it says %s", err, said)
}
