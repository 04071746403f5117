package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// zone has the addresses of a name in DNS, and servers at addresses that begin with 10.0.0.
type zone struct {
	*world
	mu      sync.Mutex
	answers []netip.Addr
	err     error
	lookups int
	rotates bool
	dials   int
	codes   map[string]int // status codes of the servers by address; 0 = 200
}

func newZone(t *testing.T, addresses ...string) *zone {
	z := &zone{world: newWorld(t), codes: map[string]int{}}
	z.set(addresses...)
	z.host.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		z.mu.Lock()
		defer z.mu.Unlock()
		z.lookups++
		if z.rotates {
			return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + z.lookups%4)})}, nil
		}
		return z.answers, z.err
	}
	dial := z.host.Dial
	z.host.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		z.mu.Lock()
		z.dials++
		z.mu.Unlock()
		return dial(ctx, network, address)
	}
	for i := range 5 {
		address := fmt.Sprintf("10.0.0.%d", i+1)
		z.Serve(t, address+":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			z.mu.Lock()
			code := z.codes[address]
			z.mu.Unlock()
			if r.URL.Path == "/slow" {
				time.Sleep(time.Minute)
			}
			if code != 0 {
				w.WriteHeader(code)
			}
			fmt.Fprint(w, address)
		}))
	}
	return z
}

func (z *zone) set(addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.answers = nil
	for _, a := range addresses {
		z.answers = append(z.answers, netip.MustParseAddr(a))
	}
}

// follows sends requests at intervals until the server at the wanted address responds. It returns how long this took.
func (z *zone) follows(t *testing.T, c *Client, every time.Duration, want string) time.Duration {
	t.Helper()
	for began := time.Now(); time.Since(began) <= 10*time.Minute; time.Sleep(every) {
		if body, _, err := z.get(t.Context(), c, "http://api.example.com/"); err == nil && body == want {
			return time.Since(began)
		}
	}
	t.Fatalf("%s was not asked within ten minutes", want)
	return 0
}

func TestServerMoves(t *testing.T) {
	for name, c := range map[string]struct {
		code  int // of the old server
		every time.Duration
		most  time.Duration
	}{
		"the old one answers 200":                    {0, 15 * time.Second, 30 * time.Second},
		"the old one answers 200, a request each 5s": {0, 5 * time.Second, 20 * time.Second},
		"the old one answers 200, one each minute":   {0, time.Minute, time.Minute},
		"the old one answers 503":                    {503, 5 * time.Second, 10 * time.Second},
		"the old one answers 404":                    {404, 5 * time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "10.0.0.1")
				client := z.client(t, "")
				for range 100 {
					z.follows(t, client, c.every, "10.0.0.1")
					time.Sleep(c.every)
				}
				if z.dials > 100 || c.every < idleTimeout && z.dials != 1 {
					t.Errorf("%d connections before the server has moved", z.dials)
				}
				z.codes["10.0.0.1"] = c.code
				z.set("10.0.0.2")
				dials := z.dials
				if took := z.follows(t, client, c.every, "10.0.0.2"); took > c.most {
					t.Errorf("it took %s, want at most %s", took, c.most)
				}
				if z.dials != dials+1 {
					t.Errorf("%d connections, want 1 more", z.dials-dials)
				}
				// The name moves once more, away from a server that answers 200.
				z.set("10.0.0.3", "10.0.0.1")
				z.codes["10.0.0.1"] = 0
				if took := z.follows(t, client, c.every, "10.0.0.3"); took > time.Minute {
					t.Errorf("it took %s the second time, want at most a minute", took)
				}
			})
		})
	}
}

// TestServerStays checks that a connection is kept as long as its address is among the answers of DNS. The connection is also kept while
// DNS has no answer.
func TestServerStays(t *testing.T) {
	for name, change := range map[string]func(*zone){
		"the same answer":   func(*zone) {},
		"more answers":      func(z *zone) { z.set("10.0.0.3", "10.0.0.2", "10.0.0.1") },
		"mapped to IPv6":    func(z *zone) { z.set("::ffff:10.0.0.1") },
		"no answer":         func(z *zone) { z.set() },
		"the lookup fails":  func(z *zone) { z.err = errors.New("no DNS") },
		"the server is bad": func(z *zone) { z.codes["10.0.0.1"] = 503 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "10.0.0.1")
				client := z.client(t, "")
				z.follows(t, client, time.Second, "10.0.0.1")
				change(z)
				for range 240 {
					z.follows(t, client, time.Second, "10.0.0.1")
					time.Sleep(15 * time.Second)
				}
				if z.dials != 1 {
					t.Errorf("%d connections in an hour, want 1", z.dials)
				}
				if z.lookups < 100 || z.lookups > 250 {
					t.Errorf("%d lookups in an hour", z.lookups)
				}
			})
		})
	}
}

// TestRotatingName checks that a name that resolves to another address at each lookup does not cause a new connection at each lookup.
func TestRotatingName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t)
		z.rotates = true
		client := z.client(t, "")
		for range 240 {
			if _, code, err := z.get(t.Context(), client, "http://api.example.com/"); code != 200 {
				t.Error(code, err)
			}
			time.Sleep(15 * time.Second)
		}
		if z.dials > 5 {
			t.Errorf("%d connections in an hour", z.dials)
		}
	})
}

// TestServerMovesDuringARequest checks a request that is under way when the server moves. The request must end as usual, and its connection
// must then be closed.
func TestServerMovesDuringARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "10.0.0.1")
		client := z.client(t, "")
		slow := make(chan string)
		go func() {
			body, _, _ := z.get(t.Context(), client, "http://api.example.com/slow")
			slow <- body
		}()
		time.Sleep(25 * time.Second)
		z.set("10.0.0.2")
		z.follows(t, client, time.Second, "10.0.0.2")
		if body := <-slow; body != "10.0.0.1" {
			t.Errorf("the slow request was answered by %q", body)
		}
		synctest.Wait() // for its connection to become idle
		moving := client.http.Transport.(*requestTransport).next.(*exchangeTransport).next.(*movingTransport)
		z.follows(t, client, time.Second, "10.0.0.2")
		z.follows(t, client, time.Second, "10.0.0.2")
		if n := len(moving.old); n > 0 {
			t.Errorf("%d transports with connections to the old server", n)
		}
		if z.dials != 2 {
			t.Errorf("%d connections, want 2", z.dials)
		}
	})
}

// TestProxyMoves checks that, with a proxy, the client follows the name of the proxy.
func TestProxyMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "10.0.0.1")
		client := z.client(t, "proxy_url: http://proxy.example.com:80")
		z.follows(t, client, time.Second, "10.0.0.1")
		z.set("10.0.0.2")
		if took := z.follows(t, client, time.Second, "10.0.0.2"); took > lookupInterval+time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestRotatingNameThatRefuses checks that a rotating name is followed at once when the server refuses requests.
func TestRotatingNameThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t)
		z.rotates = true
		client := z.client(t, "")
		for range 40 { // until the name counts as one that rotates
			z.get(t.Context(), client, "http://api.example.com/")
			time.Sleep(15 * time.Second)
		}
		z.rotates = false
		z.set("10.0.0.5")
		for i := range 4 {
			z.codes[fmt.Sprintf("10.0.0.%d", i+1)] = 503
		}
		if took := z.follows(t, client, 2*time.Second, "10.0.0.5"); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
