package httpclient

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A connection that is used often never becomes idle. It would stay connected to the old address when the name of the server
// gets a new address. So movingTransport resolves the name again before a request if the last lookup is lookupInterval ago, or
// if the last request failed or was refused. If the address in use is no longer among the answers, later requests use new
// connections. Otherwise the connections are kept.
//
// Some names resolve to different addresses at each lookup. A name is taken to be such a name if it has moved rotatingMoves
// times within rotatingWithin. An address of such a name stays valid until it has been missing from the answers for
// rotatingFor, unless the server refuses requests.
const (
	lookupInterval = 20 * time.Second
	lookupPause    = time.Second // minimum time between two lookups for a server that refuses requests
	lookupTimeout  = time.Second // longest time that a request waits for a lookup

	rotatingMoves  = 3
	rotatingWithin = time.Hour
	rotatingFor    = 10 * time.Minute
)

// dialFunc connects to an address such as "api.example.com:443".
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// resolveFunc returns the addresses of a host.
type resolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// movingTransport uses new connections when the name of a server gets another address.
type movingTransport struct {
	build   func(dialFunc) *http.Transport
	dial    dialFunc
	resolve resolveFunc
	// dialsNames is true if the function "dial" is called with names, and resolves these names itself. Otherwise "dial" is called with
	// addresses that the function "resolve" has returned.
	dialsNames bool

	mu      sync.Mutex
	peers   map[string]*peer // by the address that is dialed, such as "api.example.com:443"
	current *generation
	old     []*generation // former generations that still have connections
}

// generation is a transport and its open connections. A new generation begins when a server has moved.
type generation struct {
	*http.Transport
	conns map[*movingConn]bool
}

// peer is what is known about a server that is dialed by name.
type peer struct {
	lookedUp time.Time
	refused  bool                     // the last request failed, or its status was 300 or more (but not 304)
	seen     map[netip.Addr]time.Time // when a lookup last returned the address
	moves    []time.Time              // times of the last moves, at most rotatingMoves
}

// movingConn is a connection to a server that was dialed by name.
type movingConn struct {
	net.Conn
	server string
	remote netip.Addr
	closed func(*movingConn)
}

func (c *movingConn) Close() error {
	c.closed(c)
	return c.Conn.Close()
}

// newMovingTransport returns a movingTransport whose transports are made by the function "build". If names need not be followed, it
// returns a single transport that "build" has made. This is the case for a unix socket, and if only h.Dial resolves names.
func newMovingTransport(h *Host, build func(dialFunc) *http.Transport) http.RoundTripper {
	m := &movingTransport{build: build, dial: h.Dial, resolve: h.Resolve, peers: map[string]*peer{}}
	switch {
	case h.socket != "":
		return build(h.dialSocket)
	case m.resolve != nil:
	case m.dial != nil:
		return build(m.dial) // names are resolved by dial, in an unknown way
	default:
		m.dialsNames = true
		m.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if m.dial == nil {
		m.dial = new(net.Dialer).DialContext
	}
	m.current = m.newGeneration()
	return m
}

func (m *movingTransport) newGeneration() *generation {
	g := &generation{conns: map[*movingConn]bool{}}
	g.Transport = m.build(func(ctx context.Context, network, address string) (net.Conn, error) {
		return m.connect(ctx, g, network, address)
	})
	return g
}

// connect dials a server and remembers the address of the connection.
func (m *movingTransport) connect(ctx context.Context, g *generation, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if _, notName := netip.ParseAddr(host); err != nil || notName == nil {
		return m.dial(ctx, network, address)
	}
	conn, remote, err := m.dialName(ctx, network, host, port)
	if err != nil || !remote.IsValid() {
		return conn, err
	}
	c := &movingConn{conn, address, remote, func(c *movingConn) {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(g.conns, c)
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	g.conns[c] = true
	if m.peers[address] == nil {
		m.peers[address] = &peer{lookedUp: time.Now(), seen: map[netip.Addr]time.Time{remote: time.Now()}}
	}
	return c, nil
}

// dialName tries the addresses of a host in order until one answers. The result remote is the address of the other end. It is invalid if
// this address is not known.
func (m *movingTransport) dialName(ctx context.Context, network, host, port string) (conn net.Conn, remote netip.Addr, err error) {
	if m.dialsNames {
		conn, err = m.dial(ctx, network, net.JoinHostPort(host, port))
		if err == nil {
			if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
				remote = tcp.AddrPort().Addr().Unmap().WithZone("")
			}
		}
		return conn, remote, err
	}
	all, err := m.resolve(ctx, host)
	if err == nil && len(all) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	for _, remote := range all {
		if conn, err = m.dial(ctx, network, net.JoinHostPort(remote.String(), port)); err == nil {
			return conn, remote.Unmap().WithZone(""), nil
		}
	}
	return nil, netip.Addr{}, err
}

// RoundTrip implements [http.RoundTripper].
func (m *movingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	address := m.dialed(req)
	m.follow(req.Context(), address)
	resp, err := m.transport().RoundTrip(req)
	refused := err != nil || resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[address]; p != nil {
		p.refused = refused
	}
	return resp, err
}

// transport returns the transport for the next request. It closes the idle connections of former generations.
func (m *movingTransport) transport() *http.Transport {
	m.mu.Lock()
	current, old := m.current, slices.Clone(m.old)
	m.mu.Unlock()
	for _, g := range old {
		g.CloseIdleConnections()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.old = slices.DeleteFunc(m.old, func(g *generation) bool { return len(g.conns) == 0 })
	return current.Transport
}

// dialed returns the address that is dialed for a request: that of the proxy if there is one, and otherwise that of the server.
func (m *movingTransport) dialed(req *http.Request) string {
	to := req.URL
	m.mu.Lock()
	find := m.current.Proxy
	m.mu.Unlock()
	if find != nil {
		if proxy, err := find(req); err == nil && proxy != nil {
			to = proxy
		}
	}
	return dialAddress(to)
}

func dialAddress(u *url.URL) string {
	number := port(u)
	if number == "" {
		number = "1080" // default port of socks5
	}
	return net.JoinHostPort(u.Hostname(), number)
}

// follow resolves the name of a server if a lookup is due, and begins a new generation if the server has moved.
func (m *movingTransport) follow(ctx context.Context, address string) {
	if !m.lookupDue(address, time.Now()) {
		return
	}
	host, _, _ := net.SplitHostPort(address) // cannot fail: dialAddress has joined host and port
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	all, err := m.resolve(ctx, host)
	if err != nil || len(all) == 0 {
		return // the lookup failed: go on with the current connection
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[address]
	if p == nil || !p.hasMoved(all, m.current.remotes(address), time.Now()) {
		return
	}
	m.old = append(m.old, m.current)
	m.current = m.newGeneration()
}

// lookupDue reports whether to resolve the name of a server, and if so records the time of the lookup. If there are more than maxPeers
// servers, it can also forget servers without connections.
func (m *movingTransport) lookupDue(address string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[address]
	if p == nil {
		return false
	}
	if len(m.current.remotes(address)) == 0 {
		p.lookedUp = now // opening the next connection resolves the name
		m.forget(now)
		return false
	}
	since := now.Sub(p.lookedUp)
	if since < lookupInterval && !(p.refused && since >= lookupPause) {
		return false
	}
	p.lookedUp = now
	return true
}

// maxPeers is a soft limit for the number of servers. Above it, a server without a connection is forgotten when its last lookup was
// rotatingFor ago.
const maxPeers = 100

func (m *movingTransport) forget(now time.Time) {
	if len(m.peers) <= maxPeers {
		return
	}
	maps.DeleteFunc(m.peers, func(address string, p *peer) bool {
		return now.Sub(p.lookedUp) > rotatingFor && len(m.current.remotes(address)) == 0
	})
}

// remotes returns the addresses of the open connections to a server.
func (g *generation) remotes(server string) (all []netip.Addr) {
	for c := range g.conns {
		if c.server == server {
			all = append(all, c.remote)
		}
	}
	return all
}

// hasMoved reports whether one of the addresses in use no longer belongs to the server.
func (p *peer) hasMoved(answers, inUse []netip.Addr, now time.Time) bool {
	for _, a := range answers {
		p.seen[a.Unmap().WithZone("")] = now
	}
	maps.DeleteFunc(p.seen, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) > rotatingFor })
	rotating := len(p.moves) == rotatingMoves && now.Sub(p.moves[0]) <= rotatingWithin
	moved := slices.ContainsFunc(inUse, func(a netip.Addr) bool {
		at, known := p.seen[a]
		return !known || at != now && (p.refused || !rotating)
	})
	if moved {
		p.moves = append(p.moves, now)
		p.moves = p.moves[max(0, len(p.moves)-rotatingMoves):]
	}
	return moved
}

// CloseIdleConnections closes the connections that no request uses.
func (m *movingTransport) CloseIdleConnections() { m.transport().CloseIdleConnections() }
