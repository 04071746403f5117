package jobtest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// wanted takes an answer's section apart: its first lines that begin with > say what has to be in the request, each a header
// or a part of the body.
//
//	> X-Api-Key: test-KEY
//	> {"after": "b"}
//	{"items": []}
func wanted(text string) (wants []string, rest string) {
	for {
		line, ok := strings.CutPrefix(text, ">")
		if !ok {
			return wants, text
		}
		line, text, _ = strings.Cut(line, "\n")
		wants = append(wants, strings.TrimSpace(line))
	}
}

// lacks is the first line that is wanted of the request and not there, "" where all are.
func (a *answer) lacks(req *http.Request, body string) string {
	for _, want := range a.wants {
		name, value, _ := strings.Cut(want, ": ")
		if !slices.Contains(req.Header.Values(name), value) && !strings.Contains(body, want) {
			return want
		}
	}
	return ""
}

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 20

// bodyOf reads a request's body.
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
