package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

// fetcher runs one command. Its buffer and decoder reuse their memory in each tick.
type fetcher struct {
	config    *Config
	web       *httpclient.Host
	log       *slog.Logger
	show      func(section, line string) // nil = nothing is shown
	dir       string
	templates []*template.Template // the parsed templates of Config.templates

	output  []byte
	decoder *format.Decoder
	results sources.Parser
	noted   string // the text that the method note has logged last
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
	end, said, err := f.run(ctx, tick)
	if err != nil {
		return nil, err
	}
	doc, err := f.decode(ctx, from, end)
	if err != nil {
		return nil, said.add(err)
	}
	return doc, nil
}

// run runs the command and stores its standard output in f.output.
func (f *fetcher) run(ctx context.Context, tick sources.Tick) (*ending, said, error) {
	c, err := f.command(tick)
	if err != nil {
		return nil, nil, err
	}
	limit := ctx
	if !tick.Deadline.IsZero() {
		var cancel context.CancelFunc
		limit, cancel = context.WithDeadlineCause(ctx, tick.Deadline, fmt.Errorf("timed out after %s (timeout)", tick.Timeout))
		defer cancel()
	}
	end, err := c.run(ctx, limit)
	f.output = c.stdout.text
	said := newSaid(f.web.Secrets.Scrub, &c.stderr)
	f.shown(c, &end, said, err)
	if err == nil {
		err = f.failure(&end)
	}
	if err != nil {
		return nil, nil, said.add(err)
	}
	f.note(&end, said)
	return &end, said, nil
}

// failure returns an error if the tick must fail because of how the command has ended, and otherwise nil. If Document is Output, the output
// must be complete. For other documents only the exit code matters.
func (f *fetcher) failure(e *ending) error {
	switch {
	case f.config.Document != Output && f.isOK(e.Code):
		return nil
	case e.timeout != nil:
		return e.timeout
	case e.Signal != "" && !f.isOK(e.Code):
		return fmt.Errorf("ended by signal: %s (exit code %d)", e.Signal, e.Code)
	case !f.isOK(e.Code):
		return fmt.Errorf("exit code %d", e.Code)
	}
	return e.cut
}

// note logs problems that do not make the run fail, unless the previous run had the same problem.
func (f *fetcher) note(e *ending, said said) {
	var now string
	if e.cut != nil || e.Code != 0 && len(said) > 0 {
		now = fmt.Sprint(e.Code, e.cut, said)
	}
	if now == "" || now == f.noted {
		f.noted = now
		return
	}
	f.noted = now
	args := []any{"command", f.program(), "exit_code", e.Code}
	if len(said) > 0 {
		args = append(args, "stderr", said.line())
	}
	if e.cut != nil {
		f.log.Warn("the command's output is incomplete, and is left out of the result (null)", append(args, "reason", e.cut)...)
		return
	}
	f.log.Warn("the command has reported a problem", args...)
}

// decode returns the document. If Document is Result and the output cannot be decoded, the document contains the error.
func (f *fetcher) decode(ctx context.Context, from string, e *ending) (*sources.Document, error) {
	text, err := f.decoder.UTF8("", f.output)
	switch {
	case f.config.Document == Output && err != nil:
		return nil, err
	case f.config.Document == Output:
		doc, err := f.decoder.Decode(ctx, from, "", text)
		if err != nil && f.config.Decoding.Format == format.Auto && format.IsOther(text) {
			err = fmt.Errorf("%w; document: result gives the output as a text, with the exit code", err)
		}
		return doc, err
	case err != nil:
		text = f.output // bytes that are not UTF-8 are replaced later
	}
	if f.config.Document == Nagios {
		whole, skipped, err := checkResult(e, text)
		if err != nil {
			return nil, err
		}
		doc, err := f.results.JSON(from, whole)
		if err == nil {
			doc.Skipped = skipped
		}
		return doc, err
	}
	whole, err := f.result(ctx, from, e, text)
	if err != nil {
		return nil, err
	}
	return f.results.JSON(from, whole)
}

// systemShell runs scripts.
const systemShell = "/bin/sh"

// program returns the program's name or path.
func (f *fetcher) program() string {
	if f.config.Shell != "" {
		return systemShell
	}
	return f.config.Command[0]
}

// command returns the command to run in a tick.
func (f *fetcher) command(tick sources.Tick) (*command, error) {
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
	c := &command{dir: f.dir, env: env, stdin: texts[0], grace: time.Duration(f.config.Grace)}
	c.stdout = capture{text: f.output[:0], max: int(f.config.MaxOutput)}
	c.stderr.head.max = maxStderr
	c.args = append([]string{f.program()}, texts[1:]...)
	if f.config.Shell != "" {
		c.args = []string{f.program(), "-c", texts[1]}
	}
	return c, nil
}

// environment returns the environment of the command: a few of the agent's variables, and those in the settings. The command does
// not get the other variables of the agent, since they may contain secrets.
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
		return code == 0 || f.config.Document != Output
	}
	return slices.Contains(f.config.OKExitCodes, code)
}

// shown calls f.show with the command, how it has ended, and its standard error.
func (f *fetcher) shown(c *command, e *ending, said said, err error) {
	if f.show == nil {
		return
	}
	end := fmt.Sprintf("exit code %d, %d bytes", e.Code, len(c.stdout.text))
	switch {
	case err != nil:
		end = "did not end by itself"
	case e.timeout != nil:
		end = e.timeout.Error() + ": " + end
	case e.Signal != "":
		end += ", ended by signal: " + e.Signal
	}
	if c.stdout.over {
		end += " and more, which are not read (max_output)"
	}
	f.show("command", fmt.Sprintf("%s\n%s in %s", strings.Join(c.args, " "), end, e.took.Round(time.Millisecond)))
	if len(said) > 0 {
		f.show("stderr", said.text())
	}
}

// result returns the result of a command as JSON. If a format is set, the output is decoded. Otherwise it is a string, without the line
// breaks at its end, as in a shell. An output that was cut off is null.
func (f *fetcher) result(ctx context.Context, from string, e *ending, output []byte) ([]byte, error) {
	text, err := json.Marshal(struct {
		ExitCode int     `json:"exit_code"`
		Seconds  float64 `json:"seconds"`
	}{e.Code, e.took.Seconds()})
	if err != nil {
		return nil, err
	}
	text = append(text[:len(text)-1], `,"output":`...)
	switch {
	case e.cut != nil:
		text = append(text, "null"...)
	case f.config.Decoding.Format == format.Auto:
		text = document.AppendQuoted(text, string(bytes.TrimRight(output, "\r\n")))
	default:
		doc, err := f.decoder.Decode(ctx, from, "", output)
		if err == nil {
			text = doc.Root.AppendJSON(text, maxResult)
		} else {
			text = document.AppendQuoted(append(text, `null,"error":`...), err.Error())
		}
	}
	return append(text, '}'), nil
}

// maxResult is the maximum size of a decoded output as JSON, in bytes.
const maxResult = 256 << 20
