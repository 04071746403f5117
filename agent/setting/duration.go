package setting

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Duration is a duration that is not negative. It is written as 30s, 1m30s, 2h, 7d or 1w. A day has 24 hours.
type Duration time.Duration

var errDuration = errors.New("want a duration such as 30s, 5m, 1h or 7d")

// UnmarshalText parses whole weeks (w) and days (d), followed by a duration that [time.ParseDuration] accepts.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, total := string(text), time.Duration(0)
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		digits, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		part := time.Duration(n) * unit.length
		if err != nil || part/unit.length != time.Duration(n) || total+part < total {
			return errDuration
		}
		total += part
		rest = after
	}
	if rest != "" || total == 0 {
		part, err := time.ParseDuration(rest)
		if err != nil || part < 0 || total+part < total {
			return errDuration
		}
		total += part
	}
	*d = Duration(total)
	return nil
}

// String returns a short text that UnmarshalText parses to the same duration.
func (d Duration) String() string {
	const day = 24 * time.Hour
	t := time.Duration(d)
	if t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns the same text as String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
