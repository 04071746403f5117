package starlark

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// fetch is the function fetch(url, method, headers, params, body, expires). Without arguments, it returns the job's own document.
// Otherwise it sends another request with the job's fetcher and returns the response.
func (s *source) fetch(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, maxAge, err := unpackRequest(b.Name(), args, kwargs)
	if err != nil {
		return nil, err
	}
	return s.fetchRequest(b, r, maxAge)
}

func (s *source) fetchRequest(b *starlark.Builtin, r sources.Request, maxAge time.Duration) (starlark.Value, error) {
	if s.tick == nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), errTopLevel)
	}
	return s.tick.response(r.Key(), maxAge, func() (starlark.Value, int, error) { return s.tick.send(r) })
}

// getData is get_data_from_store(name, expires). It returns what the script's read_data returns for the name. Without a read_data it
// returns the job's own document for any name. If the argument "expires" is missing, the setting "expires" takes its place.
func (s *source) getData(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var expires starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name?", &name, "expires?", &expires); err != nil {
		return nil, err
	}
	maxAge, err := s.expires, error(nil)
	if expires != nil {
		maxAge, err = unpackExpires(b.Name(), expires)
	}
	switch {
	case err != nil:
		return nil, err
	case s.readData == nil:
		return s.fetchRequest(b, sources.Request{}, maxAge)
	case s.tick == nil:
		return nil, fmt.Errorf("%s: %w", b.Name(), errTopLevel)
	case s.tick.reading:
		return nil, errors.New("get_data_from_store: cannot be called in read_data: call fetch there")
	}
	key := "store " + name
	value, err := s.tick.response(key, maxAge, func() (starlark.Value, int, error) { return s.tick.callReadData(thread, name) })
	if e, ok := errors.AsType[*starlark.EvalError](err); ok {
		if _, cancelled := sandbox.Reason(e); cancelled {
			delete(s.tick.responses, key) // only the limit of one function was exceeded; another function may still succeed
		}
	}
	return value, err
}

// maxResponses is the maximum number of different requests and stores in one tick.
const maxResponses = 1000

// tick is the state that all functions of one tick share.
type tick struct {
	*source

	ctx       context.Context
	at        sources.Tick
	responses map[string]response
	read      map[string]string // secrets that were read, by name
	size      int               // approximate size of the tick's documents in bytes
	reading   bool              // read_data is running
	skipped   sources.Skipped

	ownFailed   bool // fetching the job's own document has failed; this fails the tick
	otherFailed bool // another request has failed; this fails the functions that need it
}

func newTick(ctx context.Context, at sources.Tick, s *source) *tick {
	return &tick{source: s, ctx: ctx, at: at, responses: map[string]response{}, read: map[string]string{}}
}

// response is the result of a request or of read_data. The value is frozen, since functions share it.
type response struct {
	value starlark.Value
	err   error
	time  time.Time // time of the tick in which it was made
	size  int       // approximate size in bytes
}

// response returns the response that this tick already has for the key. If there is none, it returns a cached response that is younger than
// maxAge. If there is no such response either, it calls the function "get" and returns the result.
func (t *tick) response(key string, maxAge time.Duration, get func() (value starlark.Value, size int, err error)) (starlark.Value, error) {
	r, ok := t.responses[key]
	if !ok {
		if r, ok := t.cache.find(key, t.at.Time, maxAge); ok {
			t.size += r.size // counted, since the result of read_data may refer to this response
			return r.value, nil
		}
		if len(t.responses) >= maxResponses {
			return nil, fmt.Errorf("more than %d distinct requests in one run: request more data with each", maxResponses)
		}
		r.time = t.at.Time
		r.value, r.size, r.err = get()
		t.responses[key] = r
	}
	if maxAge > 0 && r.err == nil && t.skipped.Items == 0 {
		t.cache.add(key, r, maxAge)
	}
	return r.value, r.err
}

// send sends a request to the job's fetcher.
func (t *tick) send(r sources.Request) (starlark.Value, int, error) {
	fetcher := t.env.Fetch
	if fetcher == nil {
		return nil, 0, errors.New("the job has no fetcher: add one next to script, such as http")
	}
	var doc *sources.Document
	var err error
	if r.IsZero() {
		doc, err = fetcher.Fetch(t.ctx, t.at, r)
		t.ownFailed = err != nil
	} else {
		ctx, cancel := sources.WithHalfTime(t.ctx)
		defer cancel()
		doc, err = fetcher.Fetch(ctx, t.at, r)
		t.otherFailed = t.otherFailed || err != nil
	}
	if err != nil {
		return nil, 0, err
	}
	t.skipped.Add(doc.Skipped)
	value, size := ofDocument(doc.Root)
	t.size += size
	return value, size, nil
}

// callReadData calls read_data. The limits of the function that needs the data also apply to read_data.
func (t *tick) callReadData(thread *starlark.Thread, name string) (starlark.Value, int, error) {
	t.reading = true
	defer func() { t.reading = false }()
	args := starlark.Tuple{starlark.String(name)}
	value, err := starlark.Call(thread, t.readData, args[:min(positional(t.readData), 1)], nil)
	if err != nil {
		return nil, 0, err
	}
	value.Freeze()
	size, err := sandbox.Size(value, sandbox.MaxString)
	if err != nil {
		size = math.MaxInt32 // so that it is not cached, but can be used
	}
	return value, size + t.size, nil // the value may refer to all documents of the tick
}

// maxCached is the maximum number of responses in a cache.
const maxCached = 100

// responseCache keeps responses for later ticks. If there is no space for a response, the response is not kept.
type responseCache struct {
	maxSize   int64 // limit for size, in bytes
	size      int
	responses map[string]cachedResponse
}

type cachedResponse struct {
	response
	maxAge time.Duration // the largest maxAge for which a function has asked
}

// find returns a response that is younger than maxAge at the time "now", which is the time of a tick.
func (c *responseCache) find(key string, now time.Time, maxAge time.Duration) (response, bool) {
	r, ok := c.responses[key]
	return r.response, ok && !now.Before(r.time) && now.Sub(r.time) < maxAge
}

// add adds a response. It replaces an older response with the same key.
func (c *responseCache) add(key string, r response, maxAge time.Duration) {
	old, ok := c.responses[key]
	size := c.size - old.size + r.size
	if int64(size) > c.maxSize || !ok && len(c.responses) >= maxCached {
		return
	}
	if c.responses == nil {
		c.responses = map[string]cachedResponse{}
	}
	c.responses[key], c.size = cachedResponse{r, max(maxAge, old.maxAge)}, size
}

// expire removes responses that are too old. It also removes responses from the future, which are there if the clock was set back.
func (c *responseCache) expire(now time.Time) {
	for key, r := range c.responses {
		if now.Before(r.time) || now.Sub(r.time) >= r.maxAge {
			c.size -= r.size
			delete(c.responses, key)
		}
	}
}

// unpackRequest reads the arguments of fetch: the request, and the maximum age of a cached response.
func unpackRequest(name string, args starlark.Tuple, kwargs []starlark.Tuple) (r sources.Request, maxAge time.Duration, err error) {
	var headers, params, body, expires starlark.Value
	if err = starlark.UnpackArgs(name, args, kwargs, "url??", &r.URL, "method??", &r.Method, "headers?", &headers, "params?", &params, "body?", &body, "expires?", &expires); err != nil {
		return r, 0, err
	}
	if maxAge, err = unpackExpires(name, expires); err != nil {
		return r, 0, err
	}
	r.Method, r.URL = strings.ToUpper(r.Method), strings.Clone(r.URL) // cloned for the same reason as in unpackParameters
	if r.Query, err = unpackParameters(name+": params", params); err != nil {
		return r, 0, err
	}
	if r.Headers, err = unpackParameters(name+": headers", headers); err != nil {
		return r, 0, err
	}
	switch x := body.(type) {
	case nil, starlark.NoneType:
	case starlark.String:
		text := string(x)
		r.Body = &text
	case starlark.IterableMapping, *starlark.List:
		encoded, err := sandbox.EncodeJSON(x)
		if err != nil {
			return r, 0, fmt.Errorf("%s: body: %s", name, text.Cut(text.OneLine(err.Error()), maxMessage))
		}
		r.Body = &encoded
	default:
		return r, 0, fmt.Errorf("%s: body: want a string, or a dict or list to send as JSON, got %s", name, describe(body))
	}
	return r, maxAge, nil
}

// unpackParameters reads a dict of strings and numbers. If a value is a list, the parameter is repeated for each item. For None,
// the result is nil.
func unpackParameters(what string, v starlark.Value) ([]sources.Parameter, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	d, ok := asDict(v)
	if !ok {
		return nil, fmt.Errorf("%s: want a dict, got %s", what, describe(v))
	}
	all := []sources.Parameter{}
	for key, value := range d.Entries() {
		name, ok := key.(starlark.String)
		if !ok {
			return nil, fmt.Errorf("%s: want strings as keys, got %s", what, describe(key))
		}
		several, ok := value.(*starlark.List)
		if !ok {
			several = starlark.NewList([]starlark.Value{value})
		}
		for one := range several.Elements() {
			text, ok := labelText(one)
			if !ok {
				return nil, fmt.Errorf("%s: %s: want a string or number, got %s", what, string(name), describe(one))
			}
			// Cloned, since otherwise a string of a document would keep the whole document in memory.
			all = append(all, sources.Parameter{Name: string(name), Value: strings.Clone(text)})
		}
	}
	return all, nil
}

// unpackExpires reads the argument "expires": a string, a duration or a number of seconds. The default is 0.
func unpackExpires(name string, v starlark.Value) (time.Duration, error) {
	d, err := durationOf(v)
	if err == nil && d < 0 {
		err = errors.New("it must not be negative")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: expires: want a duration such as \"60s\", or a number of seconds: %w", name, err)
	}
	return d, nil
}
