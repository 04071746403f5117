package command

import "testing"

func TestPageURL(t *testing.T) {
	for listen, want := range map[string]string{
		":8000":          "http://localhost:8000",
		"0.0.0.0:8010":   "http://localhost:8010",
		"[::]:8010":      "http://localhost:8010",
		"127.0.0.1:8010": "http://127.0.0.1:8010",
		"[::1]:8010":     "http://[::1]:8010",
		"oslo-7:8010":    "http://oslo-7:8010",
	} {
		if got := pageURL(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}
