package starlark

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/sources"
)

// maxAnswers bounds the distinct requests and stores of one tick.
const maxAnswers = 1000

// tick is what the functions of one tick share.
type tick struct {
	ctx     context.Context
	at      sources.Tick
	answers map[string]answer
	secrets map[string]string
	fetched int  // bytes that the tick's documents hold, about
	reading bool // read_data is under way
	lost    bool // the job's own document could not be fetched, which fails the tick
	refused bool // another request failed, which fails the functions that want it
	skipped sources.Skipped
}

// answer is what came of one request or store. What it holds is frozen, since it is shared.
type answer struct {
	value starlark.Value
	err   error
	since time.Time // the tick in which it came
	size  int       // bytes that it holds, about
}

// fetch is fetch(url, method, headers, params, body, expires): the job's own document without arguments, else another of
// the job's fetcher.
func (s *source) fetch(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, maxAge, err := unpackRequest(b.Name(), args, kwargs)
	if err != nil {
		return nil, err
	}
	return s.answer(r.Key(), maxAge, func() (starlark.Value, int, error) { return s.ask(r) })
}

// stored is get_data_from_store(name, expires): what the script's read_data returns for the name; without a read_data the
// job's own document, whatever the name.
func (s *source) stored(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var expires starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name?", &name, "expires?", &expires); err != nil {
		return nil, err
	}
	maxAge, err := durationOf(b.Name(), expires)
	switch {
	case err != nil:
		return nil, err
	case s.readData == nil:
		return s.answer((sources.Request{}).Key(), maxAge, func() (starlark.Value, int, error) { return s.ask(sources.Request{}) })
	case s.tick != nil && s.tick.reading:
		return nil, errors.New("get_data_from_store: asks read_data, which is asking already: call fetch in it")
	}
	key := "store " + name
	value, err := s.answer(key, maxAge, func() (starlark.Value, int, error) { return s.read(thread, name) })
	if e, ok := errors.AsType[*starlark.EvalError](err); ok && strings.HasPrefix(e.Msg, "Starlark computation cancelled: ") {
		delete(s.tick.answers, key) // the bounds were those of the function that asked first
	}
	return value, err
}

// read calls read_data, within the bounds of the function that asks.
func (s *source) read(thread *starlark.Thread, name string) (starlark.Value, int, error) {
	s.tick.reading = true
	defer func() { s.tick.reading = false }()
	args := starlark.Tuple{starlark.String(name)}
	value, err := starlark.Call(thread, s.readData, args[:min(positional(s.readData), 1)], nil)
	if err != nil {
		return nil, 0, err
	}
	value.Freeze()
	own, err := textSize(value, maxBuilt, 0)
	if err != nil {
		own = math.MaxInt32 // too large to be kept, but not to be used
	}
	return value, own + s.tick.fetched, nil // it may hold any document of the tick
}

// answer gets what was not got in this tick already, nor in an earlier one less than maxAge ago.
func (s *source) answer(key string, maxAge time.Duration, get func() (value starlark.Value, size int, err error)) (starlark.Value, error) {
	t := s.tick
	if t == nil {
		return nil, errTopLevel
	}
	a, ok := t.answers[key]
	if !ok {
		if a, ok := s.kept.find(key, t.at.Time, maxAge); ok {
			t.fetched += a.size // what read_data makes of it holds it longer
			return a.value, nil
		}
		if len(t.answers) >= maxAnswers {
			return nil, fmt.Errorf("more than %d requests in one tick", maxAnswers)
		}
		a.since = t.at.Time
		a.value, a.size, a.err = get()
		t.answers[key] = a
	}
	if maxAge > 0 && a.err == nil && t.skipped.Items == 0 {
		s.kept.keep(key, a, maxAge, s.maxMemory/2)
	}
	return a.value, a.err
}

// ask sends a request.
func (s *source) ask(r sources.Request) (starlark.Value, int, error) {
	t, fetcher := s.tick, s.env.Fetch
	if fetcher == nil {
		return nil, 0, errors.New("the job has nothing to fetch with: add http beside script")
	}
	var doc *sources.Document
	var err error
	if r.Key() == (sources.Request{}).Key() {
		doc, err = fetcher.Fetch(t.ctx, t.at)
		t.lost = err != nil
	} else {
		doc, err = sources.Ask(t.ctx, fetcher, t.at, r)
		t.refused = t.refused || err != nil
	}
	if err != nil {
		return nil, 0, err
	}
	t.skipped.Add(doc.Skipped)
	value, size := ofDocument(doc.Root)
	t.fetched += size
	return value, size, nil
}
