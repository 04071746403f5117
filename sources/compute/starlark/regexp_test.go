package starlark

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestSearchesEndWithTheRun searches megabytes with patterns that would take longer than the time limit of the run. The run must end soon
// after that limit.
func TestSearchesEndWithTheRun(t *testing.T) {
	timeout := errors.New("timed out")
	for _, call := range []string{
		`len(re.findall("(a+)+$|(?P<x>b)", "a" * 5000000 + "c"))`, `len(re.findall("a.*b|a", "a" * 5000000))`,
		`len(re.sub("a.*b|a", "", "a" * 5000000))`, `len(re.search("(x{50}a?){20}$", "a" * 60000000) or "")`,
	} {
		s, err := made(t, "metrics: {x: {type: gauge}}", "def get_x():\n    return "+call, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, timeout)
		from := time.Now()
		_, err = s.Collect(ctx, tickAt())
		cancel()
		if took := time.Since(from); !errors.Is(err, timeout) || took > 5*time.Second {
			t.Errorf("%s: %v after %v", call, err, took)
		}
	}
}

func TestPatternsOfScriptsAreBounded(t *testing.T) {
	if got := value(t, `re.search("a" * 5000, "a")`); !strings.Contains(got, "the pattern exceeds 4096 bytes") {
		t.Error(got)
	}
	if got := value(t, `re.sub("", "x" * 1000, "a" * 1000000)`); !strings.Contains(got, "the string would exceed 64 MiB") {
		t.Error(got)
	}
}

// TestStrptimeOfTheHourThatComesTwice parses a local time in both of the hours.
func TestStrptimeOfTheHourThatComesTwice(t *testing.T) {
	s, err := made(t, "metrics: {x: {type: gauge}}", `def get_x():
    return time.strptime("2024-10-27 02:30", "%Y-%m-%d %H:%M", location = "Europe/Zurich").unix`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]float64{"2024-10-27T00:35:00Z": 1729989000, "2024-10-27T01:35:00Z": 1729992600} {
		tick, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		readings, err := s.Collect(t.Context(), sources.Tick{Time: tick, Start: tick, End: tick})
		if err != nil || len(readings[0].Rows) != 1 || readings[0].Rows[0].Value != want {
			t.Errorf("at %s: %s, %v, want %.0f", at, show(readings), err, want)
		}
	}
}
