package http

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
)

// maxRefusal bounds what is shown of an API's reason, in bytes.
const maxRefusal = 200

// refusal is why a success is none: GraphQL says errors with status 200, and others do what fail_if finds.
func (f *fetcher) refusal(req *http.Request, resp *httpclient.Response, doc *sources.Document) error {
	if why, failed := graphQLError(req, doc.Root); failed {
		return fmt.Errorf("GraphQL gives no data: %s", f.shown(why))
	}
	if f.set.FailIf.IsZero() {
		return nil
	}
	headers := map[string]any{}
	for name, values := range resp.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	answer, err := f.set.FailIf.Run(req.Context(), map[string]any{
		"status": resp.StatusCode, "headers": headers, "body": doc.Root.JQ(),
	})
	if err != nil {
		return fmt.Errorf("fail_if cannot tell: %s", f.shown(err.Error()))
	}
	switch a := answer.(type) {
	case nil:
	case bool:
		if a {
			return fmt.Errorf("fail_if is true: %s", f.shown(f.set.FailIf.String()))
		}
	case string:
		if a != "" {
			return fmt.Errorf("fail_if: %s", f.shown(a))
		}
	default:
		return fmt.Errorf("fail_if cannot tell: want true, false or a text, got %s", f.shown(gojq.Preview(a)))
	}
	return nil
}

// shown is a text from elsewhere as it may stand in a message.
func (f *fetcher) shown(text string) string {
	return sources.Excerpt([]byte(f.web.Secrets.Scrub(text)), maxRefusal)
}

// graphQLError is the first error of an answer without data to a GraphQL request (GraphQL, October 2021, section 7.1).
// Where there is data beside the errors it is partial, and taken.
func graphQLError(req *http.Request, root document.Value) (string, bool) {
	if req.Method != http.MethodPost || root.Get("data").Kind() != document.Null {
		return "", false
	}
	for first := range root.Get("errors").Items {
		if message := first.Get("message"); message.Kind() == document.String {
			first = message
		}
		return first.Text(), isGraphQL(req)
	}
	return "", false
}

// isGraphQL knows a GraphQL request by its body: an object with a query (GraphQL over HTTP, section 5.1).
func isGraphQL(req *http.Request) bool {
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return false
	}
	var parser document.Parser
	root, err := parser.Parse(text)
	return err == nil && root.Get("query").Kind() == document.String
}
