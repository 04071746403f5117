package auth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// headers is a login by headers of any name.
type headers map[string]setting.Text

// Login implements httpclient.Provider.
func (s headers) Login(h *httpclient.Host) (httpclient.Login, error) { return &headerLogin{h, s}, nil }

type headerLogin struct {
	host *httpclient.Host
	set  headers
}

// Sign implements httpclient.Login.
func (l *headerLogin) Sign(req *http.Request) (string, bool, error) {
	return "", false, setHeaders(l.host, req, l.set)
}

// Forget implements httpclient.Login.
func (l *headerLogin) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements httpclient.Login.
func (l *headerLogin) CloseIdleConnections() {}

func setHeaders(h *httpclient.Host, req *http.Request, texts map[string]setting.Text) error {
	values, err := resolve(h, "headers", texts)
	if err != nil {
		return err
	}
	for name, value := range values {
		if !isLine(value) {
			return fmt.Errorf("headers.%s: the secret holds a line break or control character: %s", name, texts[name])
		}
		req.Header.Set(name, value)
	}
	return nil
}
