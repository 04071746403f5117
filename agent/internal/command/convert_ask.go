package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/convert"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Bounds of the questions of a conversion.
const (
	askTimeout     = 30 * time.Second // for one question
	maxAsked       = 100              // questions
	maxAskedAnswer = 16 << 20         // bytes of an answer
)

// asker sends the requests of a converted file, to learn the names in the answers.
type asker struct {
	*App
	asked int
}

// ask runs the job of a configuration once and returns the text of its answer, or the rows of a query as JSON. It delivers nothing.
func (k *asker) ask(ctx context.Context, text []byte, rows bool) ([]byte, error) {
	if k.asked++; k.asked > maxAsked {
		return nil, fmt.Errorf("%d jobs were asked already: use --answer for the others", maxAsked)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errors.New("timed out after "+askTimeout.String()))
	defer cancel()
	plan, err := config.Load("cton.yaml", text, k.Catalogue)
	if problems, ok := errors.AsType[config.Problems](err); ok && len(problems) > 0 {
		return nil, errors.New(problems[0].Brief())
	}
	if err != nil {
		return nil, err
	}
	k.onlyPrint(plan)
	var log bytes.Buffer
	own := &App{Version: k.Version, Catalogue: k.Catalogue, Out: &log, Err: &log, vault: k.vault, logins: logins{}, log: slog.New(slog.DiscardHandler)}
	taken := &answerTaker{}
	agent, built, closeState, err := (&assembly{App: own, drain: time.Second, once: true, fetcher: taken.wrap}).start(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer closeState()
	if _, err = agent.Once(ctx, built, time.Second); err != nil {
		return nil, err
	}
	return taken.result(k.vault, rows)
}

// answerTaker is a fetcher that keeps the answer of a job.
type answerTaker struct {
	sources.Fetcher

	mu       sync.Mutex // a fetch that does not end in time still runs while the method "result" is called
	fetched  bool
	document any
	err      error
}

func (a *answerTaker) wrap(f sources.Fetcher) sources.Fetcher {
	a.Fetcher = f
	return a
}

// Fetch implements sources.Fetcher.
func (a *answerTaker) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := a.Fetcher.Fetch(ctx, tick, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fetched, a.err = true, err; err == nil {
		a.document = doc.Root.JQ()
	}
	return doc, err
}

// Unwrap returns the wrapped fetcher.
func (a *answerTaker) Unwrap() sources.Fetcher { return a.Fetcher }

func (a *answerTaker) result(vault *setting.SecretStore, rows bool) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.fetched {
		return nil, errors.New("no answer came in time: use --answer")
	}
	if a.err != nil {
		return nil, errors.New(text.OneLine(vault.Scrub(a.err.Error())))
	}
	answer, ok := convert.Answer(a.document)
	if rows {
		text, err := json.Marshal(a.document)
		answer, ok = string(text), err == nil
	}
	switch {
	case !ok:
		return nil, errors.New("the answer is empty")
	case len(answer) > maxAskedAnswer:
		return nil, fmt.Errorf("the answer is larger than %s: use --answer with a shorter one", setting.Bytes(maxAskedAnswer))
	}
	return []byte(answer), nil
}
