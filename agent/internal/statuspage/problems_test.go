package statuspage

import (
	"strings"
	"testing"
	"time"
)

// TestNearlyFull holds what is shown of how full a queue is, and that a queue which is nearly full is a problem.
func TestNearlyFull(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0% of 64.0 MiB", 50 << 20: "78% of 64.0 MiB", 52 << 20: "81% of 64.0 MiB", 64 << 20: "100% of 64.0 MiB"} {
		s := Sink{Name: "rw", State: SinkOK, Bytes: bytes, Limit: 64 << 20}
		if got := s.Full(); got != want {
			t.Errorf("%d bytes: %s, want %s", bytes, got, want)
		}
		problems := sinkProblems(&s, time.Now())
		if full := bytes > 51<<20; full != (len(problems) == 1) || full && !strings.HasSuffix(problems[0].Text, "nearly full: "+want) {
			t.Errorf("%d bytes: %+v", bytes, problems)
		}
	}
	if s := (Sink{Bytes: 1}); s.Full() != "" || len(sinkProblems(&s, time.Now())) > 0 {
		t.Errorf("a queue without a limit: %q", s.Full())
	}
}
