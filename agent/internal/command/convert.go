package command

import (
	"fmt"
	"path/filepath"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/legacy"
)

type convertCmd struct {
	File    string `arg:"" optional:"" help:"The file of the Python Collectington; default that of -c, else config.json."`
	Service string `short:"s" help:"Convert only this service." placeholder:"SERVICE"`
}

// Run shows the converted configuration, or the problems of the old one.
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
		return fmt.Errorf("convert %s: this is not a file of the Python Collectington, which has services at its top level", file)
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
