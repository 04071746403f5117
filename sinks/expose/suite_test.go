package expose

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks/sinktest"
)

func TestSinkSuite(t *testing.T) {
	for name, settings := range map[string]Config{"plain": {}, "with a job label": {JobLabel: "cton_job"}} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Peer {
				b := open(t, settings)
				return sinktest.Peer{Sink: b.sink, Logged: b.logged, Holds: func(t *testing.T, _ time.Time) sinktest.Holding {
					return sinktest.FromText(t, get(t, "http://"+b.address(t)+"/metrics"), "cton_job")
				}}
			})
		})
	}
}

// get returns a response body, over a new connection.
func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
