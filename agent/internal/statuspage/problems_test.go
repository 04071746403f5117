package statuspage

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNearlyFull checks the text that says how full a queue is. It also checks that a nearly full queue is a problem.
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

// TestLeaseProblems checks the problems of a lease that cannot be renewed, and of a lease that was given back.
func TestLeaseProblems(t *testing.T) {
	for _, c := range []struct {
		lease Lease
		want  []Problem
	}{
		{Lease{Name: "cton", Active: true}, nil},
		{Lease{Name: "cton", Active: true, Error: "no route"}, []Problem{
			{Level: levelWarning, Kind: "lease", Name: "cton", Text: "no route", Do: "If it cannot be renewed soon, the jobs stop here."},
		}},
		{Lease{Name: "cton", Error: "no route", Away: "input/output error"}, []Problem{
			{Level: levelError, Kind: "lease", Name: "cton", Text: "no route", Do: "The jobs do not run here until the API server answers."},
			{
				Level: levelError, Kind: "lease", Name: "cton", Text: "given back: input/output error",
				Do: "Another process can run the jobs. This one competes for the lease again when it can read and write the state file.",
			},
		}},
	} {
		s := &Status{Ready: true, Configuration: Configuration{OK: true}, Lease: &c.lease}
		if got := problems(s); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %+v", c.lease, got)
		}
	}
}
