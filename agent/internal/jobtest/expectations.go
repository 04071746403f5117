package jobtest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// expectations splits the text of a response's section. The first lines, if they start with >, say what the request must contain:
// each is a header or a part of the body. The remaining text is the response.
//
//	> X-Api-Key: test-KEY
//	> {"after": "b"}
//	{"items": []}
func expectations(text string) (expects []string, rest string) {
	for {
		line, ok := strings.CutPrefix(text, ">")
		if !ok {
			return expects, text
		}
		line, text, _ = strings.Cut(line, "\n")
		expects = append(expects, strings.TrimSpace(line))
	}
}

// missing returns the first expected line that does not occur in the request, or "" if all do.
func (r *response) missing(req *http.Request, body string) string {
	for _, want := range r.expects {
		name, value, _ := strings.Cut(want, ": ")
		if !slices.Contains(req.Header.Values(name), value) && !strings.Contains(body, want) {
			return want
		}
	}
	return ""
}

// maxBody is how many bytes of a request's body are read.
const maxBody = 16 << 20

// bodyOf returns the body of a request.
func bodyOf(req *http.Request) (string, error) {
	if req.Body == nil {
		return "", nil
	}
	defer req.Body.Close()
	text, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("read the request's body: %w", err)
	}
	return string(text), nil
}
