package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// A sink sends a body. No error shows a query or a secret.
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
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/push?key=topsecret", strings.NewReader("payload"))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Close()
	}
	err = send(receiver.URL)
	if status, ok := errors.AsType[*httpclient.StatusError](err); ok {
		fmt.Println(status)
	}
	fmt.Println(send("http://127.0.0.1:1"))
	// Output:
	// POST <secret> 429
	// 429 Too Many Requests: slow down, <secret>
	// POST <secret> 0
	// POST http://127.0.0.1:1/push: connection refused by 127.0.0.1:1
}
