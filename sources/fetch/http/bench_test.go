package http

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// BenchmarkPages fetches 10,000 records at once and in 100 pages.
func BenchmarkPages(b *testing.B) {
	record := strings.Repeat("x", 250)
	list := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"id": %d, "text": "%s"}`, i, record))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	whole, part := list(10_000), list(100)
	network := memnet.NewNetwork()
	network.Serve(b, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/whole" {
			fmt.Fprint(w, whole)
			return
		}
		n := 0
		fmt.Sscan(r.URL.Query().Get("cursor"), &n)
		if n < 99 {
			w.Header().Set("X-Next", fmt.Sprint(n+1))
		}
		fmt.Fprint(w, part)
	}))
	for name, paginate := range map[string]*Paginate{"whole": nil, "pages": {Cursor: &Cursor{Header: "X-Next", PageParameter: PageParameter{Param: "cursor"}}}} {
		b.Run(name, func(b *testing.B) {
			c := Kind.Defaults().(*Config)
			if err := c.URL.UnmarshalText([]byte("http://a.example/" + name)); err != nil {
				b.Fatal(err)
			}
			c.Paginate = paginate
			f, err := c.New(sources.Env{Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Dial: network.Dial}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Fetch(b.Context(), tickAt(), sources.Request{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
