package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// TestNothingIsLost tries random batches, settings, network failures and responses. Every sample must arrive or be counted as dropped.
// Every sample that is counted as sent must have arrived. The samples of each series must arrive in order of time.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 1))
			m := &flakyReceiver{dice: rand.New(rand.NewPCG(seed, 2)), breaks: seed%2 == 1, moves: seed%4 > 1, holds: map[string]int64{}}
			withReceiver(t, m, func(c *Config, env *sinks.Env) {
				c.Protocol = Protocol(seed % 3)
				c.Connections = 1 + dice.IntN(4)
				c.Request.MaxSamples = 1 + dice.IntN(30)
				c.Spool.Order = Order(dice.IntN(4) / 3)
				m.anyOrder = c.Spool.Order == Order(spool.NewestFirst)
				if seed%10 == 9 {
					c.Spool.Dir = t.TempDir()
				}
				env.Drain, env.Once = 10*time.Hour, true // until all is delivered
				c.Refusals = Refusals(dice.IntN(3))
				env.Web.Dial = m.dial(env.Web.Dial)
				if m.moves {
					env.Web.Resolve = m.resolve
				}
			}, func(r *rig) {
				shadow := newRig(r.TB, memnet.NewNetwork(), nil) // queues everything, sends nothing
				in := 0
				for range 30 {
					j, families := fmt.Sprint("j", dice.IntN(3)), randomFamilies(dice, r.began)
					r.write(j, families...)
					shadow.write(j, families...)
					in += numbersIn(families)
					time.Sleep(time.Duration(1 + dice.Int64N(60e9)))
				}
				written := in - int(shadow.stats.Dropped()[sinks.NotNewer])
				queued := int(shadow.stats.Pending().Samples)
				more := markersAndZeros(r.TB, shadow.queued())
				in += more
				if written += more; queued != written {
					r.Errorf("%d samples were written, %d queued", written, queued)
				}
				r.stop()
				dropped := int64(0)
				for _, n := range r.stats.Dropped() {
					dropped += n
				}
				sent := r.stats.Sent.Load()
				if sent+dropped != int64(in) {
					r.Errorf("%d samples were written; sent %d, dropped %v", in, sent, r.stats.Dropped())
				}
				// A sample that arrived, but whose response was lost, may be rejected when it is sent again.
				refused := r.stats.Dropped()[sinks.Refused]
				if n := int64(m.arrived); n < sent || n > sent+refused || !m.breaks && n != sent {
					r.Errorf("the receiver holds %d samples; sent %d, refused %d", n, sent, refused)
				}
				r.wantDropped(sinks.Shutdown, 0)
				r.wantDropped(sinks.Damaged, 0)
			})
			for _, text := range m.wrong {
				t.Error(text)
			}
			if m.arrived == 0 {
				t.Error("nothing has arrived")
			}
		})
	}
}

// markersAndZeros counts the samples that the sink has added.
func markersAndZeros(t testing.TB, requests []wire.Request) (n int) {
	t.Helper()
	for _, q := range requests {
		for i, err := range q.Items() {
			if err != nil {
				t.Fatal(err)
			}
			isZero := i.Start != 0 && i.Start == i.Time
			isMarker := math.Float64bits(i.Value) == math.Float64bits(staleNaN())
			if isZero || isMarker || i.Kind == wire.Histogram && i.Histogram.Sum != i.Histogram.Sum {
				n++
			}
		}
	}
	return n
}

// randomPoints returns points that are earlier than the values of a family's series. Some of these points have the value zero.
func randomPoints(dice *rand.Rand, f *metric.Family) map[*metric.LabelSet][]metric.Point {
	earlier := map[*metric.LabelSet][]metric.Point{}
	for _, s := range f.Series {
		n := dice.Int64N(6)
		for i := range n {
			at := s.Time - (n-i)*dice.Int64N(9)
			earlier[s.Labels] = append(earlier[s.Labels], metric.Point{Time: at, Value: float64(dice.IntN(2)), Start: s.Start})
		}
	}
	return earlier
}

// numbersIn counts the samples of families.
func numbersIn(families []metric.Family) (n int) {
	for _, f := range families {
		for _, s := range f.Series {
			n += len(f.Earlier[s.Labels])
			switch {
			case s.Summary() != nil:
				n += 3
			case s.Histogram() != nil && s.Histogram().Native == nil:
				n += 5
			default:
				n++
			}
		}
	}
	return n
}

// flakyReceiver is a receiver that often fails. Often something else answers in its place. If "breaks" is set, the receiver's network fails
// too. If "moves" is set, the receiver gets another address every few minutes, and something else answers at the old address.
type flakyReceiver struct {
	breaks   bool
	moves    bool
	anyOrder bool

	mu      sync.Mutex // needed because a request that hangs is still handled when the next one comes
	dice    *rand.Rand
	holds   map[string]int64 // the timestamp of the last sample of each series
	points  map[point]bool
	arrived int // number of different points that have arrived
	wrong   []string
}

func (m *flakyReceiver) roll(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dice.IntN(n)
}

// take stores points. It ignores a point that it already has. Other points must be in order.
func (m *flakyReceiver) take(points []point) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.points == nil {
		m.points = map[point]bool{}
	}
	for _, p := range points {
		if p.value != p.value {
			p.value = -1.5 // no NaN is equal to another
		}
		p.start = 0 // 1.0 has no start timestamps
		if m.points[p] {
			if !m.breaks {
				m.wrong = append(m.wrong, fmt.Sprint(p, " comes twice"))
			}
			continue
		}
		if at, known := m.holds[p.series]; known && p.time <= at && !m.anyOrder {
			m.wrong = append(m.wrong, fmt.Sprint(p, " comes after the sample at ", at))
		}
		m.points[p] = true
		m.holds[p.series] = p.time
		m.arrived++
	}
}

// resolve returns the address of the receiver at this time.
func (m *flakyReceiver) resolve(context.Context, string) ([]netip.Addr, error) {
	if m.breaks && m.roll(4) == 0 {
		return nil, errors.New("no DNS")
	}
	return []netip.Addr{netip.MustParseAddr(m.address())}, nil
}

func (m *flakyReceiver) address() string { return fmt.Sprint("10.0.0.", 1+time.Now().Minute()/4%2) }

// answerInPlace answers like something in the receiver's place: a web page, a proxy, or a server that knows nothing of
// remote-write.
func (m *flakyReceiver) answerInPlace(w http.ResponseWriter, r *http.Request) {
	switch m.roll(5) {
	case 0:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><title>Log in</title>")
	case 1:
		w.WriteHeader([]int{401, 403, 404, 405, 407}[m.roll(5)])
	case 2:
		http.Redirect(w, r, "/login", []int{301, 302, 303, 307, 308}[m.roll(5)])
	case 3:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader([]int{400, 409, 422}[m.roll(3)])
		_, _ = io.WriteString(w, "<title>Bad Request</title>")
	case 4:
		w.WriteHeader(503)
	}
}

func (m *flakyReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/login" {
		return // 200 without a body
	}
	if m.moves && r.Header.Get(servedBy) != m.address()+":80" || m.roll(10) == 0 {
		_, _ = io.Copy(io.Discard, r.Body)
		m.answerInPlace(w, r)
		return
	}
	got, err := decode(r)
	if err != nil {
		panic(http.ErrAbortHandler) // the request was cut
	}
	switch m.roll(14) {
	case 0:
		w.WriteHeader(500 + m.roll(5))
	case 1:
		w.Header().Set("Retry-After", fmt.Sprint(m.roll(30)))
		w.WriteHeader(429)
	case 2:
		time.Sleep(40 * time.Second)
	case 3:
		panic(http.ErrAbortHandler)
	case 4:
		w.WriteHeader(415)
	case 5:
		w.WriteHeader([]int{400, 409, 413, 422}[m.roll(4)])
	case 6: // it stores the first part of the request and says so, which is only possible in 2.0
		if got.protocol == Protocol1 {
			w.WriteHeader(408)
			return
		}
		kept := got.points[:m.roll(len(got.points)+1)]
		samples, histograms := 0, 0
		for _, p := range kept {
			if p.histogram != "" {
				histograms++
			} else {
				samples++
			}
		}
		m.take(kept)
		setWritten(w, samples, histograms)
		w.WriteHeader([]int{200, 400}[m.roll(2)])
	case 7:
		if got.protocol == Protocol2 {
			w.WriteHeader(204) // it stored nothing, and the response does not say what was written
			return
		}
		fallthrough
	case 8: // a response with half of its body is still a response
		m.take(got.points)
		w.Header().Set("Content-Length", "100")
		setWritten(w, len(got.points), len(got.points))
		_, _ = io.WriteString(w, "half of")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	default:
		m.take(got.points)
		acceptAll(w, got)
	}
}

// dial returns a dialer that fails sometimes, and whose connections break after some bytes.
func (m *flakyReceiver) dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if m.breaks && m.roll(4) == 0 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		conn, err := dial(ctx, network, address)
		if err != nil || !m.breaks {
			return conn, err
		}
		return &breakingConn{Conn: conn, out: m.roll(10_000), in: m.roll(2000)}, nil
	}
}

// breakingConn is a connection that breaks after a number of bytes in each direction.
type breakingConn struct {
	net.Conn
	mu      sync.Mutex
	out, in int
}

func (f *breakingConn) left(n *int, used int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n -= used
	return *n
}

func (f *breakingConn) Write(p []byte) (int, error) {
	if n := f.left(&f.out, 0); n < len(p) {
		k, _ := f.Conn.Write(p[:max(0, n)])
		f.Conn.Close()
		return k, syscall.EPIPE
	}
	n, err := f.Conn.Write(p)
	f.left(&f.out, n)
	return n, err
}

func (f *breakingConn) Read(p []byte) (int, error) {
	n := f.left(&f.in, 0)
	if n <= 0 {
		f.Conn.Close()
		return 0, syscall.ECONNRESET
	}
	n, err := f.Conn.Read(p[:min(len(p), n)])
	f.left(&f.in, n)
	return n, err
}

// randomFamilies returns up to 8 families of all types, with series that come and go.
func randomFamilies(dice *rand.Rand, began time.Time) (all []metric.Family) {
	for i := range dice.IntN(9) {
		d := &metric.Desc{
			Name: fmt.Sprint("m", i), Help: "Help.", Type: metric.Type(i % 5), LabelNames: []string{"room"},
			Buckets: []float64{1, 2.5}, Quantiles: []float64{0.5},
		}
		var rooms []string
		for room := range 1 + dice.IntN(6) {
			if dice.IntN(4) > 0 {
				rooms = append(rooms, fmt.Sprint("r", room))
			}
		}
		s := metric.Series{Value: dice.NormFloat64(), Start: began.UnixMilli() * int64(dice.IntN(2))}
		switch d.Type {
		case metric.Histogram:
			s.More = &metric.More{Histogram: &metric.HistogramValue{Count: 3, Counts: []uint64{1, 1, 1}}}
			if dice.IntN(3) == 0 {
				s.More.Histogram = nativeOf(dice.Uint64N(5), dice.Uint64N(5), dice.Uint64N(5))
			}
		case metric.Summary:
			s.More = &metric.More{Summary: &metric.SummaryValue{Count: 1, Sum: 2, Quantiles: []float64{2}}}
		}
		if dice.IntN(5) == 0 {
			s.Time = began.UnixMilli() + dice.Int64N(100_000)
		}
		f := familyOf(d, s, rooms...)
		if s.Time != 0 && s.Histogram() == nil && s.Summary() == nil {
			f.Earlier = randomPoints(dice, &f)
		}
		all = append(all, f)
	}
	dice.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return slices.Clip(all)
}
