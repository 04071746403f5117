package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		n.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			io.WriteString(w, r.Host)
		}))
		client := &http.Client{Transport: &http.Transport{DialContext: n.Dial}}
		defer client.CloseIdleConnections()
		begin := time.Now()
		resp, err := client.Get("http://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != "a.example" {
			t.Errorf("got %q", body)
		}
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("took %s", took)
		}
	})
}

func TestDialIsRefused(t *testing.T) {
	n := NewNetwork()
	l := n.Listen("a.example:80")
	go l.Accept()
	conn, err := n.Dial(t.Context(), "tcp", "a.example:80")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l.Close()
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener accepts: %v", err)
	}
	for _, address := range []string{"a.example:80", "never.example:80"} {
		if _, err := n.Dial(t.Context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", address, err)
		}
	}
	n.Listen("a.example:80").Close() // the address can be used again
}

func TestDialWaitsForTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		l := n.Listen("a.example:80")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Dial(ctx, "tcp", "a.example:80"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		failed := make(chan error)
		go func() {
			_, err := n.Dial(t.Context(), "tcp", "a.example:80")
			failed <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-failed; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a listener that closes: %v", err)
		}
	})
}

func TestAddressIsInUse(t *testing.T) {
	n := NewNetwork()
	defer n.Listen("a.example:80").Close()
	defer func() {
		if recover() == nil {
			t.Error("two listeners have one address")
		}
	}()
	n.Listen("a.example:80")
}
