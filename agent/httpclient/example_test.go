package httpclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// A sink sends a body and tells what became of it. No error that leaves it shows a query or a secret.
func Example() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ops" || password != "hunter22" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, "slow down, hunter22\n")
	}))
	defer receiver.Close()

	host := &httpclient.Host{
		Secrets: &setting.SecretStore{LookupEnv: func(string) (string, bool) { return "hunter22", true }},
		Observe: func(e httpclient.Exchange) { fmt.Println(e.Method, e.Header.Get("Authorization"), e.Code) },
	}
	client, err := host.Client(&httpclient.Settings{BasicAuth: &httpclient.BasicAuth{Username: "ops", Password: "env:PASSWORD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(url string) error {
		resp, err := client.Post(url+"/push?key=topsecret", "text/plain", strings.NewReader("payload"))
		if err != nil {
			return host.Explain(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return host.StatusError(resp)
		}
		return nil
	}
	fmt.Println(send(receiver.URL))
	fmt.Println(send("http://127.0.0.1:1"))
	// Output:
	// POST <secret> 429
	// 429 Too Many Requests: slow down, <secret>
	// POST <secret> 0
	// POST http://127.0.0.1:1/push: connection refused by 127.0.0.1:1
}
