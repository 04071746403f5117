package auth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/web"
)

// headers is a login by headers of any name.
type headers map[string]setting.Text

// Login implements web.Provider.
func (s headers) Login(h *web.Host) (web.Login, error) { return &headerLogin{h, s}, nil }

type headerLogin struct {
	host *web.Host
	set  headers
}

// Sign implements web.Login.
func (l *headerLogin) Sign(req *http.Request) (string, bool, error) {
	return "", false, setHeaders(l.host, req, l.set)
}

// Forget implements web.Login.
func (l *headerLogin) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements web.Login.
func (l *headerLogin) CloseIdleConnections() {}

func setHeaders(h *web.Host, req *http.Request, texts map[string]setting.Text) error {
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
