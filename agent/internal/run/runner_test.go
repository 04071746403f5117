package run

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/sinks"
)

// server is a source that receives something until its Run ends. Its first two runs fail, one with a panic.
type server struct {
	*scripted
	runs  atomic.Int64
	ended atomic.Bool
}

func (s *server) Run(ctx context.Context) error {
	switch s.runs.Add(1) {
	case 1:
		return errors.New("the address is in use")
	case 2:
		panic("a bug")
	}
	<-ctx.Done()
	time.Sleep(time.Second) // requests in progress
	s.ended.Store(true)
	return nil
}

// TestRunner checks a source that fails. It is started again, and its ticks go on meanwhile. A last tick delivers what the source has
// taken until the end.
func TestRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := false
		source := &server{}
		source.scripted = newScripted(func(context.Context, int) error { last = source.ended.Load(); return nil })
		page := &shelf{}
		plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@every 15s", source)}, Sinks: []Sink{planSink("page", sinks.Sink(page))}}
		stop := start(t, newAgent(), plan, nil)
		time.Sleep(50 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := source.runs.Load(); n != 3 {
			t.Errorf("Run was called %d times, want 3", n)
		}
		equal(t, "ticks", source.seconds(), []int{0, 15, 30, 45, 51})
		if !last {
			t.Error("the last tick came before the end of Run")
		}
		if got := page.shows()["a"]; got != 5 {
			t.Errorf("the sink has %v, want all 5 ticks", got)
		}
	})
}
