package deliver

import (
	"strings"
	"testing"
)

func TestHints(t *testing.T) {
	for text, want := range map[string]string{
		"err: out of order sample. timestamp=…":                                    "another sender writes the same series",
		"store locally for endpoint 127.0.0.1: add 1 samples: out of order sample": "another sender writes the same series",
		"duplicate sample for timestamp 1":                                         "another sender writes the same series",
		"out of bounds for series {}":                                              "the receiver does not accept samples this old",
		"timestamp is too far in the future":                                       "the clock",
		"per-user series limit of 150000 exceeded (ERR-MIMIR-max-series-per-user)": "fewer label values",
		"too big packed request; see -maxInsertRequestSize":                        "lower request.max_samples",
		"native histograms are disabled":                                           "set native to false",
		"something new":                                                            "",
	} {
		if got := hint(400, text); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestSeriesOfAResponse(t *testing.T) {
	for text, want := range map[string]string{
		`out of order for series {a="}\"", b="c"} and {d="e"}`: `{a="}\"", b="c"}`,
		`cut short {a="b`: `{a="b`,
		`none`:            "",
	} {
		if got := (&response{text: text}).series(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestGist checks that responses which differ only in series and numbers have the same gist, and that other responses have another gist.
func TestGist(t *testing.T) {
	for text, want := range map[string]string{
		"too old by 0s":                       "400too old by s",
		"too old by 9876543210s":              "400too old by s",
		`out of order at 1: {a="1"} and more`: "400out of order at : ",
	} {
		if got := (&response{code: 400, text: text}).gist(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
