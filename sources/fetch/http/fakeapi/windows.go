package fakeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// windows adds a path that serves events by day, and paths that read parameters from the request's body.
func (a *API) windows() {
	// The number of events is the day of the month in the path.
	a.mux.HandleFunc("/days/{day}", func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.TrimSuffix(r.PathValue("day"), ".json"), "-")
		say(w, `{"day": "%s", "events": %s, "by": "%s"}`, strings.Join(parts, "-"), strings.TrimLeft(parts[len(parts)-1], "0"), r.Header.Get("X-Span"))
	})
	// A GraphQL API that serves its list in pages (GraphQL Cursor Connections). An empty cursor is an error.
	a.mux.HandleFunc("/graphql", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Query     string
			Variables struct {
				Team  string
				After *string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Query == "" {
			http.Error(w, "no GraphQL request", http.StatusBadRequest)
			return
		}
		from := 0
		if after := asked.Variables.After; after != nil {
			if _, err := fmt.Sscanf(*after, "c%d", &from); err != nil {
				say(w, `{"errors": [{"message": "no such cursor: %s"}]}`, *after)
				return
			}
		}
		partial := ""
		if asked.Variables.Team == "slow" && from > 0 {
			partial = `"errors": [{"message": "team slow: timed out"}], `
		}
		say(w, `{%s"data": {"incidents": {"nodes": %s, "pageInfo": {"hasNextPage": %t, "endCursor": "c%d"}}}}`,
			partial, rows(from, from+Size), from+Size < Items, from+Size)
	})
	// A search: the body selects the page.
	a.mux.HandleFunc("/search", func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Page struct{ Number, From int } }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		from := asked.Page.From
		if asked.Page.Number > 0 {
			from = (asked.Page.Number - 1) * Size
		}
		say(w, `{"hits": %s, "next": %d}`, rows(from, from+Size), min(from+Size, Items))
	})
	// The data of one user, who is named in a header and in the body.
	a.mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		say(w, `{"as": "%s", "of": "%s"}`, r.Header.Get("X-User"), asked.Name)
	})
}
