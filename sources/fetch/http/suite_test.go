package http

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/collectington/collectington/sources/sourcetest"
)

func TestFetcherSuite(t *testing.T) {
	sourcetest.RunFetcher(t, func(t *testing.T) sourcetest.FetcherPeer {
		var behavior atomic.Int64
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch sourcetest.Behavior(behavior.Load()) {
			case sourcetest.Fails:
				http.Error(w, fmt.Sprint(r.URL, r.Header), http.StatusUnauthorized)
			case sourcetest.Hangs:
				<-r.Context().Done()
			default:
				fmt.Fprintln(w, `{"n": 1}`)
			}
		}))
		t.Cleanup(api.Close)
		env, logged := sourcetest.FetcherEnv(t.TempDir())
		f, err := config(t, "{url: '"+api.URL+"/v1?page=1', query: {key: 'env:KEY'}, headers: {X-Api-Key: 'env:KEY'}}").New(env)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.(*fetcher).client.CloseIdleConnections)
		return sourcetest.FetcherPeer{Fetcher: f, Behave: func(b sourcetest.Behavior) { behavior.Store(int64(b)) }, Logged: logged}
	})
}
