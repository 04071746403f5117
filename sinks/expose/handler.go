package expose

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
)

// handler answers for the page, the health, and a visitor.
func (s *sink) handler() http.Handler {
	scrapes := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		case r.URL.Path == s.config.Path:
			select {
			case scrapes <- struct{}{}:
				defer func() { <-scrapes }()
				s.page(asked(r.Header)).serve(w, r)
			default:
				http.Error(w, fmt.Sprintf("%d scrapes are under way already: try again later", maxScrapes), http.StatusServiceUnavailable)
			}
		case r.URL.Path == healthPath:
			fmt.Fprintln(w, "OK")
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, index, html.EscapeString(s.config.Path))
		default:
			http.NotFound(w, r)
		}
	})
}

const index = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Collectington</title></head>
<body><h1>Collectington</h1><p><a href="%s">Metrics</a></p></body>
</html>
`

// asked is the variant that a request asks for.
func asked(h http.Header) variant {
	return variant{expfmt.NegotiateAccept(h, formats()...), takesGzip(h.Values("Accept-Encoding"))}
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3).
func takesGzip(headers []string) bool {
	takes := false
	for coding := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		weight, weighed := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q=")
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		takes = !weighed || err == nil && q > 0
		if name == "gzip" {
			return takes
		}
	}
	return takes
}

// serve writes the page.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", string(p.format))
	h.Set("Content-Length", strconv.Itoa(p.size))
	h.Set("Vary", "Accept, Accept-Encoding")
	if p.gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	for _, b := range p.body {
		if _, err := w.Write(b); err != nil {
			return // the scraper has gone
		}
	}
}
