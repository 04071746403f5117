package command

import (
	"fmt"
	"path/filepath"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/legacy"
)

type convertCmd struct {
	File    string `arg:"" optional:"" help:"The old file; default that of -c, else config.json."`
	Service string `short:"s" help:"Show this service alone." placeholder:"SERVICE"`
}

// Run shows an old configuration as one of ours. What is wrong with it is shown instead.
func (c *convertCmd) Run(a *App, g *globals) error {
	file := c.File
	switch {
	case file != "":
	case g.Named:
		file = g.Config
	default:
		file = "config.json"
	}
	doc, err := a.parse(file)
	if err != nil {
		return err
	}
	if !legacy.Is(doc) {
		return fmt.Errorf("convert %s: it is none of the Python Collectington's, which has services at its top", file)
	}
	a.vault.Dir = filepath.Dir(file)
	legacy.Literals(doc, (&httpclient.Host{Secrets: a.vault}).RememberNamed)
	old := legacy.Translate(doc, legacy.Options{Service: c.Service, Catalogue: a.Catalogue, Files: a.vault})
	if _, err := old.Plan(); err != nil {
		return err
	}
	text, err := old.YAML(filepath.Base(file))
	if err != nil {
		return fmt.Errorf("convert %s: %w", file, err)
	}
	_, err = scrubber{a.Out, a.vault}.Write(text)
	return err
}
