package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/golang/snappy"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/receive/groups"
	"github.com/collectington/collectington/sources/receive/samples"
)

// The limits for all pushes together.
const (
	maxHeld      = 256 << 20 // bytes of all bodies; or max_body if that is larger
	maxDecoding  = 2         // number of bodies that are decoded at the same time, since decoding takes much more memory than the body
	linesPerItem = 10        // lines or messages in a body for each series that the job may have; a histogram has many lines
	moreLines    = 10_000
)

// handler handles the requests to a Pushgateway, and remote-write requests.
type handler struct {
	config *Config
	env    *sources.Env
	store  *groups.Store
	pages  *pages

	families samples.Families
	adder    *adder // adds the labels of the job to forwarded series

	held     atomic.Int64 // bytes of all bodies in memory
	decoding chan struct{}
}

// newHandler returns the handler. It refuses requests that a browser sends from another web site.
func newHandler(c *Config, env *sources.Env, store *groups.Store) http.Handler {
	h := &handler{config: c, env: env, store: store, pages: newPages(store), adder: newAdder(c.labels), decoding: make(chan struct{}, maxDecoding)}
	return http.NewCrossOriginProtection().Handler(h)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path := r.URL.Path
	group, ofGroup := strings.CutPrefix(path, "/metrics/")
	switch {
	case ofGroup && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		h.push(w, r, group)
	case ofGroup && r.Method == http.MethodDelete:
		h.remove(w, r, group)
	case ofGroup:
		notAllowed(w, "PUT, POST, DELETE")
	case path == writePath && h.config.RemoteWrite:
		if r.Method != http.MethodPost {
			notAllowed(w, http.MethodPost)
			return
		}
		h.write(w, r)
	case path == "/api/v1/admin/wipe":
		h.wipe(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notAllowed(w, "GET, HEAD")
	case path == "/-/healthy", path == "/-/ready":
		if err := h.store.Err(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "OK")
	default:
		h.pages.ServeHTTP(w, r)
	}
}

func notAllowed(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	http.Error(w, "method not allowed: use "+methods, http.StatusMethodNotAllowed)
}

// decode waits until fewer than maxDecoding other bodies are being decoded, and then calls the function "do". If the client closes the
// connection before that, "do" is not called, and the result is false.
func (h *handler) decode(ctx context.Context, do func()) bool {
	select {
	case h.decoding <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-h.decoding }() // deferred, so that it is done even after a panic
	do()
	return true
}

// push stores the metrics in a body. It responds after they are on disk.
func (h *handler) push(w http.ResponseWriter, r *http.Request, path string) {
	labels, err := groups.ParsePath(path, h.config.scheme())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, release, err := h.read(r)
	defer release()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	var families []*dto.MetricFamily
	if !h.decode(r.Context(), func() {
		families, err = groups.Decode(body, r.Header.Get("Content-Type"), h.config.scheme(), linesPerItem*h.env.MaxSeries+moreLines)
	}) {
		return
	}
	if err != nil {
		h.fail(w, r, &statusError{err, http.StatusBadRequest})
		return
	}
	if err := h.store.Push(r.Context(), labels, families, r.Method == http.MethodPut); err != nil {
		h.fail(w, r, err)
	}
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request, path string) {
	labels, err := groups.ParsePath(path, h.config.scheme())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.store.Delete(r.Context(), labels); err != nil {
		h.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (h *handler) wipe(w http.ResponseWriter, r *http.Request) {
	switch {
	case !h.config.AdminAPI:
		http.NotFound(w, r)
	case r.Method != http.MethodPut:
		notAllowed(w, http.MethodPut)
	default:
		if err := h.store.Wipe(r.Context()); err != nil {
			h.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// fail responds with an error, and logs the error.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, words := http.StatusServiceUnavailable, err.Error()
	if status, ok := errors.AsType[*statusError](err); ok {
		code = status.code
	} else if _, refused := errors.AsType[groups.Refusal](err); refused {
		code, words = http.StatusBadRequest, "pushed metrics are invalid or inconsistent with existing metrics: "+words
	} else if _, full := errors.AsType[groups.FullError](err); full {
		code = http.StatusInsufficientStorage
	}
	http.Error(w, words, code)
	h.env.Log.Warn("push refused", "method", r.Method, "path", text.Cut(text.OneLine(r.URL.Path), 300), "from", r.RemoteAddr, "code", code, "error", words)
}

// statusError is an error with an HTTP status code.
type statusError struct {
	error
	code int
}

// read returns the decompressed body of a request. The caller must call release when the body is no longer used.
func (h *handler) read(r *http.Request) (body []byte, release func(), err error) {
	var from io.Reader = r.Body
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "gzip":
		unzip, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, func() {}, &statusError{fmt.Errorf("read gzip: %w", err), http.StatusBadRequest}
		}
		defer unzip.Close()
		from = unzip
	case "snappy":
		from = snappy.NewReader(r.Body)
	}
	return h.readAll(from)
}

// readRaw returns the body of a request without decompressing it.
func (h *handler) readRaw(r *http.Request) (body []byte, release func(), err error) {
	return h.readAll(r.Body)
}

// readAll reads a body, within the limits for one body and for all bodies.
func (h *handler) readAll(from io.Reader) (body []byte, release func(), err error) {
	limit := int64(h.config.MaxBody)
	bounded := &budgetReader{from: from, held: &h.held, most: max(maxHeld, limit)}
	var all bytes.Buffer
	_, err = io.Copy(&all, io.LimitReader(bounded, limit+1))
	release = func() { h.held.Add(-bounded.taken) }
	switch {
	case err == nil && int64(all.Len()) > limit:
		err = &statusError{fmt.Errorf("the body is larger than %s (max_body)", setting.Bytes(limit)), http.StatusRequestEntityTooLarge}
	case err != nil && !errors.Is(err, errBusy) && !errors.Is(err, context.Canceled):
		err = &statusError{fmt.Errorf("read the body: %s", text.OneLine(err.Error())), http.StatusBadRequest}
	}
	return all.Bytes(), release, err
}

var errBusy = errors.New("too many pushes are being received: try again later")

// budgetReader adds the number of bytes that it reads to *held. If that makes *held larger than "most", it returns an error.
type budgetReader struct {
	from  io.Reader
	held  *atomic.Int64
	most  int64
	taken int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.taken += int64(n)
	if b.held.Add(int64(n)) > b.most {
		return n, errBusy
	}
	return n, err
}
