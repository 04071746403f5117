package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/convert"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/text"
)

type convertCmd struct {
	Files       []string `arg:"" optional:"" name:"file" help:"The files of the other tool; default that of -c, else config.json of the Python Collectington."`
	Service     string   `short:"s" help:"Convert only this service of the Python Collectington." placeholder:"SERVICE"`
	Answer      []string `help:"An answer of the API of a job, where names of metrics come out of data. May be repeated." placeholder:"JOB=FILE" sep:"none"`
	Ask         bool     `help:"Where names of metrics come out of data and there is no --answer, send the request or the query, run the command or read the file of the job once. Variables of secrets have to be set."`
	Against     []string `name:"check-against" help:"The URL of the old exporter's page: compare its series with what the converted file gives. May be repeated." placeholder:"URL" sep:"none"`
	RemoteWrite string   `help:"The URL of a remote_write sink, for a file without one." placeholder:"URL"`
}

// Run shows the converted configuration, or the problems of the old configuration.
func (c *convertCmd) Run(ctx context.Context, a *App, g *globals) error {
	files := c.Files
	switch {
	case len(files) > 0:
	case g.Named:
		files = g.Config
	default:
		files = []string{"config.json"}
	}
	var all []convert.File
	for _, name := range files {
		text, err := config.ReadFile(name, a.In)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("convert %s: there is no such file", name)
		}
		if err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		if doc, err := config.Parse(name, text); err == nil && legacy.Is(doc) {
			return c.legacy(a, name, doc)
		}
		all = append(all, convert.File{Name: name, Text: text})
	}
	return c.convert(ctx, a, files[0], all)
}

// convert converts the files of another tool.
func (c *convertCmd) convert(ctx context.Context, a *App, first string, files []convert.File) error {
	options := convert.Options{Answers: map[string][]byte{}, RemoteWrite: c.RemoteWrite, Catalogue: a.Catalogue, Files: convert.Files{Dir: filepath.Dir(first)}}
	for _, answer := range c.Answer {
		job, file, ok := strings.Cut(answer, "=")
		if !ok {
			return fmt.Errorf("convert: --answer wants JOB=FILE, such as --answer api=answer.json")
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		options.Answers[job] = text
	}
	if c.Ask {
		a.vault.Dir = options.Files.Dir
		asking := &asker{App: a}
		options.Ask = func(configuration []byte, rows bool) ([]byte, error) { return asking.ask(ctx, configuration, rows) }
	}
	result, err := convert.Convert(files, options)
	if err != nil {
		return fmt.Errorf("convert %w", err)
	}
	if len(c.Against) > 0 && result.Jobs > 0 {
		a.vault.Dir = options.Files.Dir
		return compareSeries(ctx, a, result.YAML, c.Against)
	}
	if _, err := (scrubber{a.Out, a.vault}).Write(result.YAML); err != nil {
		return err
	}
	switch {
	case result.Jobs == 0:
		return &exitError{exitConfig, fmt.Errorf("convert: nothing of the file could be converted; the comments say why")}
	case result.Lost > 0:
		return &exitError{exitPartial, fmt.Errorf("convert: cton has no equivalent of %s; the comments say which", text.Count(result.Lost, "setting"))}
	}
	return nil
}

// legacy converts a file of the Python Collectington.
func (c *convertCmd) legacy(a *App, file string, doc *config.File) error {
	a.vault.Dir = filepath.Dir(file)
	legacy.Literals(doc, (&httpclient.Host{Secrets: a.vault}).RememberNamed)
	old := legacy.Translate(doc, legacy.Options{Service: c.Service, Catalogue: a.Catalogue, Files: a.vault, WithoutSecrets: true, WithoutScripts: true})
	if _, err := old.Plan(); err != nil {
		return err
	}
	text, err := old.YAML(filepath.Base(file))
	if err != nil {
		return fmt.Errorf("convert %s: %w", file, err)
	}
	if _, err = (scrubber{a.Out, a.vault}).Write(text); err != nil {
		return err
	}
	var left []string
	for _, script := range old.Missing {
		left = append(left, script+" does not exist yet: write the functions of the class there in Starlark, see: cton explain script")
	}
	for _, secrets := range old.NoSecret {
		left = append(left, secrets+" does not exist yet: the secrets in it are missing in the converted file, where a comment says how to name them")
	}
	if left == nil {
		return nil
	}
	return &exitError{exitPartial, fmt.Errorf("convert: %s", strings.Join(left, "; "))}
}
