package discovery_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sources/discovery"
)

// refresh reads a list from a file.
func refresh(t *testing.T, list []byte) ([]discovery.Group, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	f := discovery.Files{Patterns: []string{path}, Check: anyTarget}
	groups, problems := f.Refresh()
	return groups, errors.Join(problems...)
}

// TestHostileLists checks that a list that would need much memory or time is refused before it is decoded.
func TestHostileLists(t *testing.T) {
	distinct := bytes.NewBufferString("- targets: [a:1]\n  labels:\n")
	for i := range 10_000 {
		fmt.Fprintf(distinct, "    l%d: x\n", i)
	}
	for name, c := range map[string]struct{ list, want string }{
		"items":    {"[" + strings.Repeat("a,", 4<<20) + "]", "has more than 250000 values, estimated from its punctuation: use JSON for a list of this size, or several files"},
		"groups":   {"[" + strings.Repeat("{},", 4<<20) + "{}]", "has more than 1500000 values, estimated from its punctuation: make several lists"},
		"brackets": {strings.Repeat("[", 8<<20), "has more than 250000 values"},
		"labels":   {distinct.String(), "want a list of {targets, labels}: line 3: has more than 200 labels"},
	} {
		groups, err := refresh(t, []byte(c.list))
		if len(groups) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %d groups and %v, want … %s", name, len(groups), err, c.want)
		}
	}
}

// TestLargeListInJSON checks that a list of as many targets as a job can have, each with 30 labels, is read.
func TestLargeListInJSON(t *testing.T) {
	var list bytes.Buffer
	for i := range discovery.MaxTargets {
		fmt.Fprintf(&list, `%c{"targets": ["host-%d:9100"], "labels": {"n": "%d"`, "[,"[min(i, 1)], i, i)
		for k := range 29 {
			fmt.Fprintf(&list, `, "label_%d": "value"`, k)
		}
		list.WriteString("}}")
	}
	list.WriteString("]")
	groups, err := refresh(t, list.Bytes())
	if err != nil || len(groups) != discovery.MaxTargets || len(groups[9_999].Labels) != 30 || groups[9_999].Targets[0] != "host-9999:9100" {
		t.Errorf("got %d groups, %v", len(groups), err)
	}
}

// TestInvalidFileIsParsedOnce checks that contents that are not valid are not parsed again at each tick.
func TestInvalidFileIsParsedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.yaml")
	parsed := 0
	f := discovery.Files{Patterns: []string{path}, Check: func(target string) error {
		if parsed++; target == "bad" {
			return errors.New("is bad")
		}
		return nil
	}}
	for i, c := range []struct {
		list           string
		parsed, groups int
	}{{"- targets: [bad]", 1, 0}, {"- targets: [bad]", 1, 0}, {"- targets: [b:1]", 2, 1}, {"- targets: [b:1]", 3, 1}, {"- targets: [bad]", 4, 1}, {"- targets: [bad]", 4, 1}} {
		if err := os.WriteFile(path, []byte(c.list), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1e9+int64(i), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		groups, problems := f.Refresh()
		if bad := strings.Contains(c.list, "bad"); parsed != c.parsed || len(groups) != c.groups || bad != (len(problems) == 1) {
			t.Errorf("read %d: parsed %d times, %d groups, %v", i, parsed, len(groups), problems)
		}
	}
}
