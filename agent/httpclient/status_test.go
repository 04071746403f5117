package httpclient

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
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
		{429, "30", "slow down", "429 Too Many Requests: slow down (the server asks to retry after 30s)"},
		{503, "Sat, 01 Jan 2000 00:02:00 GMT", "", "503 Service Unavailable (the server asks to retry after 2m0s)"},
		{429, "soon", "", "429 Too Many Requests"},
		{500, "30", "", "500 Internal Server Error"},
	} {
		synctest.Test(t, func(t *testing.T) { // whose clock starts at 2000-01-01
			resp := &http.Response{StatusCode: c.code, Header: http.Header{"Retry-After": {c.retry}}}
			if got := newStatusError(h.redactor(), resp, c.body).Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestStatusErrorIsBounded(t *testing.T) {
	resp, read := response(zeros{}, -1)
	if got := resp.StatusError().Error(); got != "GET http://a.example/: 200 OK" || read.n > maxStatusRead {
		t.Errorf("got %q after %d bytes", got, read.n)
	}
}

func FuzzStatusError(f *testing.F) {
	f.Add("upstream down", "hunter22")
	f.Add("<title>é\x1b</title>", "tit")
	f.Fuzz(func(t *testing.T, body, secret string) {
		h := &Host{Secrets: new(setting.SecretStore)}
		h.Secrets.Remember(secret)
		got := newStatusError(h.redactor(), &http.Response{StatusCode: 200}, body).Error()
		if len(got) > maxStatusText+20 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("got %q", got)
		}
	})
}
