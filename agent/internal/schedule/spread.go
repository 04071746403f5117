package schedule

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// Jitter returns the delay, 0 ≤ delay < max, that spreads jobs which are due at the same time. It depends on max and the
// parts only (the job's name, the host's), so that it is the same at every start and does not move a job's grid; it is the
// same in every release too. The delay is 0 if max is not positive.
//
// It is the FNV-1a hash of the parts, each ended by a zero byte so that "a", "bc" is not "ab", "c", modulo max in nanoseconds.
func Jitter(max time.Duration, parts ...string) time.Duration {
	if max <= 0 {
		return 0
	}
	h := fnv.New64a()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return time.Duration(h.Sum64() % uint64(max))
}

// Location returns the time zone of a name: "" and "Local" are the host's, "UTC" is UTC, all others are looked up in the zone
// data of the host or of the binary. The error says how to write a zone.
func Location(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return time.Local, nil
	}
	const want = `want a name such as "Europe/Oslo", or "UTC", or "Local" for the host's own`
	if len(name) > maxLen {
		return nil, fmt.Errorf("timezone %q… is %d bytes long; %s", name[:32], len(name), want)
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		return loc, nil
	}
	if strings.EqualFold(name, "utc") || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("timezone %q is written with other capitals; %s", name, want)
	}
	// The reason that the library gives is a list of the paths where it looked.
	return nil, fmt.Errorf("timezone %q is not known; %s; if the name is right, install the host's zone data (tzdata)", name, want)
}
