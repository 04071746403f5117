package infer_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/internal/infer"
)

// TestCursorThatIsLeftOut checks that there is no warning of a missing cursor with the APIs that leave it out when there is one page.
func TestCursorThatIsLeftOut(t *testing.T) {
	address := &url.URL{Scheme: "https", Host: "a.example", Path: "/x"}
	for text, want := range map[string]string{
		`{"metadata": {"continue": "eyJ2IjoibWV0YS"}, "items": [{"id": 1}]}`:    "{cursor: {from: '.metadata.continue // null', param: continue}, items: .items}",
		`{"nextPageToken": "CAEaAggD", "items": [{"id": 1}]}`:                   "{cursor: {from: '.nextPageToken // null', param: pageToken}, items: .items}",
		`{"next_cursor": "CAEaAggD", "items": [{"id": 1}]}`:                     "{cursor: {from: .next_cursor, param: cursor}, items: .items}",
		`{"nextPageToken": "CAEaAggD", "has_more": true, "items": [{"id": 1}]}`: "{cursor: {from: 'select(.has_more) | .nextPageToken', param: pageToken}, items: .items}",
	} {
		var p document.Parser
		root, err := p.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := infer.WaysToPages(address, http.Header{}, "", root); len(got) == 0 || got[0].Paginate != want {
			t.Errorf("%s: got %+v, want %s", text, got, want)
		}
	}
}
