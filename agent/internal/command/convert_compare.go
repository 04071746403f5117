package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/convert"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// compareTimeout is the maximum time for one comparison.
const compareTimeout = 2 * time.Minute

// compareSeries runs each job of a converted configuration once, and shows where its series differ from the series of the old
// exporter. It delivers nothing. It reads the old exporter's pages before and after the run, since values change with time.
func compareSeries(ctx context.Context, a *App, converted []byte, urls []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, compareTimeout, errors.New("timed out after "+compareTimeout.String()))
	defer cancel()
	before, err := oldPages(ctx, a, urls)
	if err != nil {
		return err
	}
	now, err := convertedPage(ctx, a, converted)
	if err != nil {
		return err
	}
	after, err := oldPages(ctx, a, urls)
	if err != nil {
		return err
	}
	c := convert.Compare(before, after, now)
	for _, d := range c.Differences {
		fmt.Fprintln(a.Out, a.vault.Scrub(d))
	}
	fmt.Fprintf(a.Out, "%d series are the same, %s\n", c.Same, text.Count(len(c.Differences), "difference"))
	switch {
	case len(c.Differences) == 0:
		return nil
	case c.Same == 0:
		return &exitError{code: exitConfig}
	}
	return &exitError{code: exitPartial}
}

// oldPages reads the metrics pages of the old exporter.
func oldPages(ctx context.Context, a *App, urls []string) (*convert.Page, error) {
	client, err := (&assembly{App: a}).host(nil).Client(&httpclient.Settings{})
	if err != nil {
		return nil, err
	}
	page := convert.NewPage()
	for _, raw := range urls {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
		if err != nil || req.URL.Host == "" {
			return nil, fmt.Errorf("convert: --check-against wants a URL, such as http://localhost:7979/probe?target=http://api.example.com")
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("convert: %w", err)
		}
		body, err := resp.ReadBody(nil, httpclient.Limit{Bytes: 64 << 20})
		resp.Close()
		if err == nil {
			err = page.Read(bytes.NewReader(body))
		}
		if err != nil {
			return nil, fmt.Errorf("convert: read %s: %w", place(req.URL), err)
		}
	}
	return page, nil
}

func place(u *url.URL) string { return setting.Place(u) }

// convertedPage runs each job once and returns its series.
func convertedPage(ctx context.Context, a *App, text []byte) (*convert.Page, error) {
	plan, err := config.Load("cton.yaml", text, a.Catalogue)
	if err != nil {
		return nil, err
	}
	a.onlyPrint(plan)
	var out bytes.Buffer
	shown := a.Out
	a.Out = &out // the print sink writes there
	defer func() { a.Out = shown }()
	agent, built, closeState, err := (&assembly{App: a, drain: time.Second, once: true, unready: func(string, error) {}}).start(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer closeState()
	outcome, err := agent.Once(ctx, built, time.Second)
	if err != nil {
		return nil, err
	}
	for _, j := range outcome.Jobs {
		if !j.Up {
			fmt.Fprintf(a.Err, "cton: the job %s was not measured\n", j.Name)
		}
	}
	page := convert.NewPage()
	return page, readBlocks(page, out.Bytes())
}

// onlyPrint replaces the sinks of a plan by one that prints.
func (a *App) onlyPrint(plan *config.Plan) {
	plan.External, plan.Sinks = nil, nil
	for _, k := range a.Catalogue.Sinks {
		if k.Name == "print" {
			plan.Sinks = []config.Sink{{Name: "print", Kind: k, Config: k.Defaults(), Key: "print"}}
		}
	}
	for i := range plan.Jobs {
		plan.Jobs[i].Sinks = nil
	}
}

// readBlocks reads the output of the print sink, which has a block for each job.
func readBlocks(page *convert.Page, text []byte) error {
	for block := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n# job ")) {
		if _, rest, ok := bytes.Cut(block, []byte("\n")); ok {
			if err := page.Read(bytes.NewReader(append(rest, '\n'))); err != nil {
				return err
			}
		}
	}
	return nil
}
