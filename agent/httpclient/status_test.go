package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/setting"
)

func TestStatusError(t *testing.T) {
	h := &Host{Secrets: new(setting.SecretStore)}
	h.Secrets.Remember("hunter22")
	long := strings.Repeat("x", 190) + "hunter22" + strings.Repeat("é", 50)
	for _, c := range []struct {
		code              int
		retry, body, want string
	}{
		{503, "", "upstream down\nstack trace", "503 Service Unavailable: upstream down"},
		{503, "", "", "503 Service Unavailable"},
		{500, "", "\r\n\n  first\tline \r\nsecond", "500 Internal Server Error: first line"},
		{400, "", `{"error": "no such field"}`, `400 Bad Request: {"error": "no such field"}`},
		{401, "", "wrong key hunter22", "401 Unauthorized: wrong key <secret>"},
		{401, "", "hunter22", "401 Unauthorized: <secret>"},
		{400, "", "a\x1b[31mred\x00\u202e\xff", "400 Bad Request: a [31mred"},
		{502, "", "<html><head><title>Bad\n gateway</title></head>", "502 Bad Gateway: Bad gateway"},
		{502, "", "<html><p>no title", "502 Bad Gateway"},
		{599, "", "odd", "599: odd"},
		{304, "", "", "304 Not Modified"},
		{400, "", long, "400 Bad Request: " + strings.Repeat("x", 190) + "<secret>é…"},
		{429, "30", "slow down", "429 Too Many Requests: slow down (try again in 30s, says the server)"},
		{503, "Sat, 01 Jan 2000 00:02:00 GMT", "", "503 Service Unavailable (try again in 2m0s, says the server)"},
		{429, "soon", "", "429 Too Many Requests"},
		{500, "30", "", "500 Internal Server Error"},
	} {
		synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
			resp := &http.Response{StatusCode: c.code, Header: http.Header{"Retry-After": {c.retry}}, Body: io.NopCloser(strings.NewReader(c.body))}
			if got := h.StatusError(resp).Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestStatusErrorReadsABoundedText(t *testing.T) {
	resp, read := response(zeros{}, -1)
	if got := new(Host).StatusError(resp).Error(); got != "200 OK" || read.n > maxStatusRead {
		t.Errorf("got %q after %d bytes", got, read.n)
	}
}

func FuzzStatusError(f *testing.F) {
	f.Add("upstream down", "hunter22")
	f.Add("<title>é\x1b</title>", "tit")
	f.Fuzz(func(t *testing.T, body, secret string) {
		h := &Host{Secrets: new(setting.SecretStore)}
		h.Secrets.Remember(secret)
		resp, _ := response(strings.NewReader(body), -1)
		got := h.StatusError(resp).Error()
		if len(got) > maxStatusText+20 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("got %q", got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, " 30 ": 30 * time.Second, "86400": 24 * time.Hour, "86401": 24 * time.Hour,
		"99999999999999999999999":        24 * time.Hour,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Mon, 01 Mar 2027 12:00:00 GMT":  24 * time.Hour,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"":                               -1, "-1": -1, "+5": -1, "1.5": -1, "soon": -1, "30s": -1, "2026-03-01T12:00:30Z": -1,
	} {
		got, ok := RetryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, ok, want)
		}
	}
	if _, ok := RetryAfter(&http.Response{}, now); ok {
		t.Error("a response without the header asks for a pause")
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"30", "Sun, 01 Mar 2026 12:00:30 GMT", "-1", "1e9", "Sun, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, text string, now int64) {
		got, ok := RetryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}, time.Unix(now, 0))
		if got < 0 || got > 24*time.Hour || !ok && got != 0 {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	})
}
