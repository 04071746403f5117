package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/setting"
)

type testCmd struct {
	Files  []string `arg:"" name:"file" help:"Archives of answers of an API, what to expect, and the configuration, if it is not that of -c; see cton explain test."`
	Update bool     `short:"u" help:"Take what ticks show for right: rewrite the sections that expect something else."`
}

// Run tests each file, and fails with the code of a wrong configuration where one does.
func (c *testCmd) Run(ctx context.Context, a *App, g *globals) error {
	failed := false
	for _, file := range c.Files {
		if file == "-" {
			return errors.New("test: a test is read from a file, not from standard input")
		}
		ticks, findings := a.test(ctx, g, file, c.Update)
		if len(findings) > 0 {
			failed = true
			fmt.Fprintf(a.Out, "FAIL %s\n%s\n", file, strings.Join(findings, "\n"))
			continue
		}
		fmt.Fprintf(a.Out, "ok   %s (%s)\n", file, count(ticks, "tick"))
	}
	if failed {
		return &exitError{code: exitConfig}
	}
	return nil
}

// test runs one test: how many ticks it has, and what is wrong.
func (a *App) test(ctx context.Context, g *globals, file string, update bool) (ticks int, findings []string) {
	wrong := func(err error) (int, []string) { return 0, []string{err.Error()} }
	text, err := config.ReadFile(file, nil)
	if err != nil {
		return wrong(fmt.Errorf("read the test: %w", err))
	}
	t, err := jobtest.Parse(file, text)
	if err != nil {
		return wrong(err)
	}
	dir, err := os.MkdirTemp("", "cton-test-")
	if err != nil {
		return wrong(fmt.Errorf("write the test's files: %w", err))
	}
	defer os.RemoveAll(dir)
	if err := t.Extract(dir); err != nil {
		return wrong(err)
	}
	r := &rehearsal{Test: t, dir: dir, vault: &setting.SecretStore{Dir: dir, LookupEnv: t.LookupEnv}, rewrite: map[*jobtest.Section]string{}}
	if err := r.choose(g); err != nil {
		return wrong(err)
	}
	if err := r.build(a, g); err != nil {
		r.found("%v", r.inArchive(err))
		return 0, r.findings
	}
	r.play(ctx, update)
	if len(r.rewrite) > 0 && ctx.Err() == nil {
		if err := os.WriteFile(file, t.Rewrite(r.rewrite), 0o600); err != nil { // a file that is there keeps its mode
			r.found("rewrite the test: %v", err)
		}
	}
	return t.Ticks, r.findings
}
