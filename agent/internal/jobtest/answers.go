package jobtest

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/collectington/collectington/agent/text"
)

// Answers stands in for every server. It is an http.RoundTripper, safe for concurrent use.
//
// A section "2 GET /path?query" is the answer from tick 2 on. Of several that fit a request, one that names more of it (a
// host, a query, wanted lines) goes before one that names less, and then a later tick's before an earlier one's.
type Answers struct {
	mu   sync.Mutex
	tick int
	all  []*answer
}

type answer struct {
	*Section
	tick   int
	method string
	url    *url.URL // without a host or a query: any
	wants  []string // of the request: see wanted
	text   string   // the response
	asked  bool
}

// add reads what stands after a section's number.
func (a *Answers) add(s *Section, tick int, what string) error {
	method, address, _ := strings.Cut(what, " ")
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || !regexp.MustCompile(`^[A-Z]+$`).MatchString(method) || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return s.bad("want -- N GET /path --, -- N metrics -- or -- N errors --")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	one := &answer{Section: s, tick: tick, method: method, url: u}
	one.wants, one.text = wanted(s.Text)
	resp, err := one.response(nil)
	if err != nil {
		return s.bad("the response cannot be read: %w", err)
	}
	resp.Body.Close()
	a.all = append(a.all, one)
	return nil
}

// Begin begins a tick.
func (a *Answers) Begin(tick int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tick = tick
}

// Unasked are the sections that nothing has asked for, each with the one that went before it, if one did: of the same
// address, from the same tick or an earlier one on, and naming more of it.
func (a *Answers) Unasked() iter.Seq2[*Section, *Section] {
	return func(yield func(unasked, instead *Section) bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, one := range a.all {
			if !one.asked && !yield(one.Section, a.instead(one)) {
				return
			}
		}
	}
}

func (a *Answers) instead(of *answer) *Section {
	for _, one := range a.all {
		if one.asked && one.tick <= of.tick && one.named() > of.named() && one.method == of.method && pathOf(one.url) == pathOf(of.url) {
			return one.Section
		}
	}
	return nil
}

// RoundTrip answers a request. The error for one that has no answer names the section that would be it.
func (a *Answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	one, err := a.find(req, body)
	if err != nil {
		return nil, err
	}
	return one.response(req)
}

// find is the answer to a request.
func (a *Answers) find(req *http.Request, body string) (*answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var best *answer
	err := fmt.Errorf("the test has no answer to it: add -- %d %s %s --", a.tick, req.Method, pathOf(req.URL))
	for _, one := range a.all {
		if one.tick > a.tick || !one.fits(req) {
			continue
		}
		if lacks := one.lacks(req, body); lacks != "" {
			err = fmt.Errorf("line %d of the test wants %s in it, which is no header, nor in the body: %s", one.Line, lacks, text.Cut(text.OneLine(body), 500))
		} else if best == nil || one.before(best) {
			best = one
		}
	}
	if best == nil {
		return nil, err
	}
	best.asked = true
	return best, nil
}

func (a *answer) fits(req *http.Request) bool {
	return a.method == req.Method && pathOf(a.url) == pathOf(req.URL) &&
		(a.url.Host == "" || a.url.Scheme == req.URL.Scheme && a.url.Host == req.URL.Host) &&
		(!a.queried() || maps.EqualFunc(a.url.Query(), req.URL.Query(), slices.Equal))
}

func (a *answer) queried() bool { return a.url.RawQuery != "" || a.url.ForceQuery }

func (a *answer) before(b *answer) bool {
	if a.named() != b.named() {
		return a.named() > b.named()
	}
	return a.tick > b.tick
}

// named is how much of a request the section names.
func (a *answer) named() int {
	n := 0
	if a.queried() {
		n++
	}
	if a.url.Host != "" {
		n += 2
	}
	return n + 4*len(a.wants)
}

func pathOf(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// response is the section's text as a response: a raw one where it begins with a status line (RFC 9112, section 4), else
// JSON.
func (a *answer) response(req *http.Request) (*http.Response, error) {
	if strings.HasPrefix(a.text, "HTTP/1.1 ") {
		return http.ReadResponse(bufio.NewReader(strings.NewReader(a.text)), req)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(a.text)),
		ContentLength: int64(len(a.text)),
		Request:       req,
	}, nil
}
