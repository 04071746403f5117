package httpclient

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"

	"github.com/collectington/collectington/agent/setting"
)

// readAhead is how much memory a response's own word about its length is worth before any of it has come.
const readAhead = 1 << 20

// maxName is how long the name of a compression can be.
const maxName = 20

// ReadBody appends the body to into and returns the result, also with an error, so that its memory can be used again. It
// holds at most max bytes of a body, decompressed, and refuses one that says it is longer without reading it. Closing is
// the caller's.
func ReadBody(resp *http.Response, max int64, into []byte) ([]byte, error) {
	if resp.ContentLength > max {
		return into, tooLong(max)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		if len(coding) > maxName {
			coding = "something else" // and may be anything, so it is not shown
		}
		return into, fmt.Errorf("the body is compressed with %q, want gzip or none", coding)
	}
	max = min(max, math.MaxInt64-1)
	begin := len(into)
	if ahead := min(resp.ContentLength+1, readAhead); ahead > 0 {
		into = slices.Grow(into, int(ahead))
	}
	for {
		if len(into) == cap(into) {
			// By a quarter, as it may be kept for the next body, but never beyond the byte that shows that the bound is passed.
			held := int64(len(into) - begin)
			into = slices.Grow(into, int(min(quarter(held), max+1-held)))
		}
		room := into[len(into):cap(into)]
		room = room[:min(int64(len(room)), max+1-int64(len(into)-begin))]
		n, err := resp.Body.Read(room)
		into = into[:len(into)+n]
		switch {
		case int64(len(into)-begin) > max:
			return into, tooLong(max)
		case err == io.EOF:
			return into, nil
		case err != nil:
			return into, err
		}
	}
}

// quarter is at least enough to read into.
func quarter(n int64) int64 { return max(n/4, 4<<10) }

func tooLong(max int64) error {
	return fmt.Errorf("the body exceeds max_body (%s)", setting.Bytes(max))
}
