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
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

// fetcher runs one command. Its buffer and decoder keep their memory from tick to tick.
type fetcher struct {
	config    *Config
	web       *httpclient.Host
	show      func(section, line string) // nil = do not show
	dir       string
	templates []*template.Template // of Config.templates

	output  []byte
	decoder *format.Decoder
}

// Fetch runs the command once.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	if !r.IsZero() {
		return nil, sources.ErrFixedRequest
	}
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
	start := time.Now()
	code, err := p.run(ctx)
	took := time.Since(start)
	f.output = p.stdout.text
	f.shown(p, code, took, err)
	if err == nil && !f.isOK(code) {
		err = fmt.Errorf("exit code %d", code)
	}
	if err != nil {
		return nil, f.withStderr(err, p.stderr.text)
	}
	doc, err := f.decode(ctx, from, code, took)
	if err != nil {
		return nil, f.withStderr(err, p.stderr.text)
	}
	return doc, nil
}

func (f *fetcher) decode(ctx context.Context, from string, code int, took time.Duration) (*sources.Document, error) {
	if f.config.Document == Output {
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
	return f.decoder.Decode(ctx, from, "", text) // JSON, since the format is auto
}

// program returns the name of the program.
func (f *fetcher) program() string {
	if f.config.Shell != "" {
		return "/bin/sh"
	}
	return f.config.Command[0]
}

// process returns the command of the tick.
func (f *fetcher) process(tick sources.Tick) (*process, error) {
	var texts []string
	for i, t := range f.templates {
		text, err := t.Execute(tick)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.config.templates()[i].path, err)
		}
		texts = append(texts, text)
	}
	env, err := f.environment()
	if err != nil {
		return nil, err
	}
	if whole := setting.Text(f.config.Stdin); whole.IsReference() {
		if texts[0], err = f.web.Secrets.Text(whole); err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
	}
	p := &process{dir: f.dir, env: env, stdin: texts[0], grace: grace}
	p.stdout = capture{text: f.output[:0], max: int(f.config.MaxOutput)}
	p.stderr = capture{max: maxStderr}
	p.args = append([]string{f.program()}, texts[1:]...)
	if f.config.Shell != "" {
		p.args = []string{f.program(), "-c", texts[1]}
	}
	return p, nil
}

// environment returns the environment of the command: a few variables of the agent's own, and those of the settings. The
// agent's environment may hold secrets.
func (f *fetcher) environment() ([]string, error) {
	var all []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if value, set := os.LookupEnv(name); set {
			all = append(all, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.config.Env)) {
		text := f.config.Env[name]
		if !text.HasSecret() {
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
	if f.config.OKExitCodes == nil {
		return code == 0 || f.config.Document == Result
	}
	return slices.Contains(f.config.OKExitCodes, code)
}

// shown shows the command and its result.
func (f *fetcher) shown(p *process, code int, took time.Duration, err error) {
	if f.show == nil {
		return
	}
	end := fmt.Sprintf("exit code %d, %d bytes", code, len(p.stdout.text))
	if err != nil {
		end = "did not end by itself"
	}
	f.show("command", fmt.Sprintf("%s\n%s in %s", strings.Join(p.args, " "), end, took.Round(time.Millisecond)))
}

// result returns the result of a command as JSON. As in a shell, line breaks at the end of the output are removed.
func result(code int, took time.Duration, output []byte) ([]byte, error) {
	return json.Marshal(struct {
		ExitCode int     `json:"exit_code"`
		Seconds  float64 `json:"seconds"`
		Output   string  `json:"output"`
	}{code, took.Seconds(), string(bytes.TrimRight(output, "\r\n"))})
}

const (
	maxStderr = 64 << 10 // bytes of standard error that are kept: enough to find a secret in it whole
	maxShown  = 200      // bytes of a line of it that are shown
)

// withStderr adds the first and the last line of the command's standard error. A shell reports its error first, most
// languages report it last.
func (f *fetcher) withStderr(err error, stderr []byte) error {
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
	return fmt.Errorf("%w: stderr: %s", err, said)
}
