package setting

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

func TestDurationReads(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1m30s": 90 * time.Second, "2h": 2 * time.Hour, "7d": 168 * time.Hour,
		"1w": 168 * time.Hour, "1w2d3h4m5s": 219*time.Hour + 4*time.Minute + 5*time.Second, "1d12h": 36 * time.Hour,
		"0": 0, "0s": 0, "100ms": 100 * time.Millisecond, "1.5h": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: got %v, %v, want %v", text, d, err, want)
		}
	}
}

func TestDurationRefuses(t *testing.T) {
	for _, text := range []string{
		"", "soon", "5", "-5s", "1d-5s", "-1d", "d", "w", "1d1w", "1 d", "1.5d", "1h2d", "30 s",
		"65535w", "15250w5d7h13m35s", "106752d", "2562047h48m", "99999999999d",
	} {
		d := Duration(42)
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, d)
		} else if d != 42 || !strings.Contains(err.Error(), "7d") {
			t.Errorf("%q: %v, left %v", text, err, d)
		}
	}
}

func TestDurationWrites(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "5m": 5 * time.Minute, "10m": 10 * time.Minute, "1h": time.Hour,
		"1h10m": 70 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "1d": 24 * time.Hour, "7d": 168 * time.Hour,
		"25h": 25 * time.Hour, "1m30s": 90 * time.Second, "1.5s": 1500 * time.Millisecond,
	} {
		if got, err := Duration(d).MarshalText(); string(got) != want || err != nil {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30s", "1w2d3h", "65535w", "0d", "1.5h", "-1s", "15250w", "106751d23h47m16s"} {
		f.Add(s, int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		var d, back Duration
		if d.UnmarshalText([]byte(text)) == nil && d < 0 {
			t.Errorf("%q is negative: %d", text, d)
		}
		for _, d := range []Duration{d, Duration(n & math.MaxInt64)} {
			if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
				t.Errorf("%d is written as %q and read as %d, %v", d, d, back, err)
			}
		}
	})
}

func TestBytesReads(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "512KiB": 512 << 10, "64MiB": 64 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"3kB": 3000, "4MB": 4e6, "5GB": 5e9, "6TB": 6e12, "64 MiB": 64 << 20, "9223372036854775807": math.MaxInt64,
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || int64(b) != want {
			t.Errorf("%q: got %d, %v, want %d", text, b, err, want)
		}
	}
}

func TestBytesRefuses(t *testing.T) {
	for _, text := range []string{"", "B", "-1", "-1KiB", "1.5MiB", "10 M", "1KB", "1mib", "9223372036854775808", "9000000TiB", "1e3", "MiB"} {
		b := Bytes(42)
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, b)
		} else if b != 42 {
			t.Errorf("%q left %v", text, b)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, s := range []string{"64MiB", "1kB", "9223372036854775807", "+5", "1000KiB", "8388607TiB"} {
		f.Add(s, int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		var b, back Bytes
		if b.UnmarshalText([]byte(text)) == nil && b < 0 {
			t.Errorf("%q is negative: %d", text, int64(b))
		}
		for _, b := range []Bytes{b, Bytes(n & math.MaxInt64), Bytes(n & math.MaxInt64 << 10 & math.MaxInt64)} {
			written, _ := b.MarshalText()
			if err := back.UnmarshalText(written); err != nil || back != b {
				t.Errorf("%d is written as %q and read as %d, %v", int64(b), written, int64(back), err)
			}
		}
	})
}

func TestURL(t *testing.T) {
	var u URL
	if !u.IsZero() {
		t.Error("a URL that was not given is not zero")
	}
	const text = "https://api.example.com:8443/v1/a%2Fb?key=hunter22#top"
	if err := u.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if got, _ := u.MarshalText(); string(got) != text {
		t.Errorf("written back as %s", got)
	}
	if got := u.Place(); got != "https://api.example.com:8443/v1/a/b" {
		t.Errorf("place %s", got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("fetch", "url", u)
	if strings.Contains(log.String(), "hunter22") {
		t.Errorf("logged the query: %s", &log)
	}
}

func TestURLRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "http://",
		"api.example.com/v1":             "http://",
		"ftp://api.example.com":          "http://",
		"https://":                       "has no host",
		"https://:8080/":                 "has no host",
		"https:///path":                  "has no host",
		"https://[::1":                   "not a valid URL",
		"https://bob:hunter22@a.example": "basic_auth",
		"https://token@a.example":        "basic_auth",
		"https://a.example/\x7f":         "not a valid URL",
	} {
		var u URL
		err := u.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want … %s …", text, err, want)
		} else if strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
}
