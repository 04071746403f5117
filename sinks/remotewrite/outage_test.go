package remotewrite

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// line is the network to a receiver. It has a latency and can break.
type line struct {
	broken  atomic.Bool
	refused atomic.Int64 // responses that are no success
	*memnet.Network
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.broken.Load() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EHOSTUNREACH}
	}
	return l.Dial(ctx, network, address)
}

func (l *line) to(h http.Handler, latency time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.broken.Load() {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(latency)
		h.ServeHTTP(&watched{w, &l.refused}, r)
	})
}

type watched struct {
	http.ResponseWriter
	refused *atomic.Int64
}

func (w *watched) WriteHeader(code int) {
	if code/100 != 2 {
		w.refused.Add(1)
	}
	w.ResponseWriter.WriteHeader(code)
}

// outageCase is the settings of a sink in an outage.
type outageCase struct {
	protocol    Protocol
	connections int
	order       spool.Order
}

func (c outageCase) String() string {
	return fmt.Sprintf("%s, %d connections, %s", c.protocol, c.connections, Order(c.order))
}

// The minutes of an outage, and those before and after it.
const before, outageMinutes, after = 5, 360, 10

// run writes a batch each minute before, during and after an outage. In the middle of the outage the process is killed, and another process
// continues with what is on disk.
func (c outageCase) run(t *testing.T, receiver http.Handler, latency time.Duration, batch func(minute int) metric.Family, back func(*rig)) *rig {
	l := &line{Network: memnet.NewNetwork()}
	l.Serve(t, "receiver:80", l.to(receiver, latency))
	dirs := [...]string{t.TempDir(), t.TempDir()}
	start := func(dir string) *rig {
		r := newRig(t, l.Network, func(config *Config, env *sinks.Env) {
			config.Protocol, config.Connections = c.protocol, c.connections
			config.Spool.Dir, config.Spool.Order = dir, Order(c.order)
			env.Web.Dial = l.dial
		})
		r.run()
		return r
	}
	r := start(dirs[0])
	for minute := range before + outageMinutes + after {
		switch minute {
		case before:
			l.broken.Store(true)
		case before + outageMinutes/2:
			if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
				t.Fatal(err)
			}
			r.stop() // its directory is not used any more
			r = start(dirs[1])
		case before + outageMinutes:
			l.broken.Store(false)
		}
		r.write("j", batch(minute))
		r.tick()
		if minute == before+outageMinutes {
			back(r)
		}
	}
	for r.stats.Pending().Samples > 0 {
		r.tick()
	}
	if n := l.refused.Load(); n > 0 {
		t.Errorf("%d requests were rejected", n)
	}
	for reason, n := range r.stats.Dropped() {
		t.Errorf("%d samples were dropped as %s", n, reason)
	}
	r.stop()
	return r
}

// TestOutageOfSixHours checks an outage of six hours, in the middle of which the process is killed. No sample is lost, sent out of order or
// rejected. With newest_first, live samples arrive within a minute after the outage, while the backlog is still being sent.
func TestOutageOfSixHours(t *testing.T) {
	const series = 200
	for _, c := range []outageCase{
		{Protocol1, 1, spool.OldestFirst},
		{Protocol2, 4, spool.OldestFirst},
		{Protocol1, 4, spool.NewestFirst},
		{Protocol2, 1, spool.NewestFirst},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			s := &server{peers.NewOutOfOrder(t, 12*time.Hour)}
			if c.order == spool.OldestFirst {
				s = newServer(t)
			}
			synctest.Test(t, func(t *testing.T) {
				rooms := make([]string, series)
				for i := range rooms {
					rooms[i] = fmt.Sprint("r", i)
				}
				f := gauge("x", 0, rooms...)
				batch := func(minute int) metric.Family {
					for i := range f.Series {
						f.Series[i].Value = float64(minute)
					}
					return f
				}
				r := c.run(t, s, time.Second, batch, func(r *rig) {
					if c.order == spool.NewestFirst {
						s.want(t, time.Now(), "sum(x)", series*(before+outageMinutes))
						if n := r.stats.Pending().Samples; n < series*outageMinutes/2 {
							t.Errorf("only %d samples wait: the test is void", n)
						}
					}
				})
				const minutes = before + outageMinutes + after
				s.want(t, time.Now(), fmt.Sprintf("count(count_over_time(x[%dm]) == %d)", 2*minutes, minutes), series)
				s.want(t, time.Now(), fmt.Sprintf("sum(sum_over_time(x[%dm]))", 2*minutes), series*minutes*(minutes-1)/2)
				if sent := r.stats.Sent.Load(); sent != series*(outageMinutes+after) {
					t.Errorf("the second process sent %d samples, want %d", sent, series*(outageMinutes+after))
				}
			})
		})
	}
}
