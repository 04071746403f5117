package webserver

import (
	"errors"
	"net"
	"testing"
	"time"
)

// TestLimited holds that connections beyond the bound are closed, and that one that ends makes room for another.
func TestLimited(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newLimited(inner, 2)
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	refused := dial()
	_ = refused.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = refused.Read(make([]byte, 1))
	if e, ok := errors.AsType[net.Error](err); err == nil || ok && e.Timeout() {
		t.Errorf("the third connection is not closed: %v", err)
	}
	first.Close()
	first.Close()
	dial()
	select {
	case <-accepted:
	case <-time.After(20 * time.Second):
		t.Error("a connection that has ended makes no room")
	}
	if n := len(l.open); n != 2 {
		t.Errorf("%d connections are counted, want 2", n)
	}
}
