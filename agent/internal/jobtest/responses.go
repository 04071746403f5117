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

// Responses is an http.RoundTripper that returns the responses of a test. It is safe for concurrent use.
//
// A section "2 GET /path?query" is the response from tick 2 on. If several sections match a request, the most specific
// section is used: host, query and expected lines make a section more specific. Among equally specific sections, the section
// of the latest tick is used.
type Responses struct {
	mu   sync.Mutex
	tick int
	all  []*response
}

type response struct {
	*Section
	tick    int
	method  string
	url     *url.URL // a URL without a host or query matches any host or query
	expects []string // lines that must occur in the request; see expectations
	text    string   // text of the response
	used    bool
}

// add adds a section. The argument "what" has the name of the section without the number of the tick.
func (r *Responses) add(s *Section, tick int, what string) error {
	method, address, _ := strings.Cut(what, " ")
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || !regexp.MustCompile(`^[A-Z]+$`).MatchString(method) || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return s.bad("want -- N GET /path --, -- N metrics -- or -- N errors --")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	one := &response{Section: s, tick: tick, method: method, url: u}
	one.expects, one.text = expectations(s.Text)
	resp, err := one.http(nil)
	if err != nil {
		return s.bad("the response cannot be parsed: %w", err)
	}
	resp.Body.Close()
	r.all = append(r.all, one)
	return nil
}

// Begin starts the tick with this number.
func (r *Responses) Begin(tick int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick = tick
}

// Unused returns the sections that no request has used. The second value is a more specific section for the same address
// that was used instead, or nil if there is none.
func (r *Responses) Unused() iter.Seq2[*Section, *Section] {
	return func(yield func(unused, instead *Section) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, one := range r.all {
			if !one.used && !yield(one.Section, r.instead(one)) {
				return
			}
		}
	}
}

func (r *Responses) instead(of *response) *Section {
	for _, one := range r.all {
		if one.used && one.tick <= of.tick && one.weight() > of.weight() && one.method == of.method && pathOf(one.url) == pathOf(of.url) {
			return one.Section
		}
	}
	return nil
}

// RoundTrip returns the response to a request. If the test has no response, the error names the section to add.
func (r *Responses) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	one, err := r.find(req, body)
	if err != nil {
		return nil, err
	}
	return one.http(req)
}

// find returns the section to use for a request.
func (r *Responses) find(req *http.Request, body string) (*response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best *response
	err := fmt.Errorf("the test has no response to it: add -- %d %s %s --", r.tick, req.Method, pathOf(req.URL))
	for _, one := range r.all {
		if one.tick > r.tick || !one.matches(req) {
			continue
		}
		if missing := one.missing(req, body); missing != "" {
			err = fmt.Errorf("line %d of the test expects %s in it, which is neither a header nor in the body: %s", one.Line, missing, text.Cut(text.OneLine(body), 500))
		} else if best == nil || one.before(best) {
			best = one
		}
	}
	if best == nil {
		return nil, err
	}
	best.used = true
	return best, nil
}

func (r *response) matches(req *http.Request) bool {
	return r.method == req.Method && pathOf(r.url) == pathOf(req.URL) &&
		(r.url.Host == "" || r.url.Scheme == req.URL.Scheme && r.url.Host == req.URL.Host) &&
		(!r.queried() || maps.EqualFunc(r.url.Query(), req.URL.Query(), slices.Equal))
}

func (r *response) queried() bool { return r.url.RawQuery != "" || r.url.ForceQuery }

func (r *response) before(b *response) bool {
	if r.weight() != b.weight() {
		return r.weight() > b.weight()
	}
	return r.tick > b.tick
}

// weight returns how specific the section is.
func (r *response) weight() int {
	n := 0
	if r.queried() {
		n++
	}
	if r.url.Host != "" {
		n += 2
	}
	return n + 4*len(r.expects)
}

func pathOf(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// http returns the text of the section as a response. If the text starts with a status line (RFC 9112, section 4), it is the
// complete response. Otherwise it is the JSON body of a response with status 200.
func (r *response) http(req *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.text, "HTTP/1.1 ") {
		return http.ReadResponse(bufio.NewReader(strings.NewReader(r.text)), req)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(r.text)),
		ContentLength: int64(len(r.text)),
		Request:       req,
	}, nil
}
