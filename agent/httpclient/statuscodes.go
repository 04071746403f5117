package httpclient

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// StatusCodes is a set of status codes, such as 2xx and 503. The empty set means 2xx.
type StatusCodes []StatusRange

// StatusRange is the status codes from First to Last, both included.
type StatusRange struct{ First, Last int }

// The status codes of final responses (RFC 9110 section 15).
const (
	minStatus = 200
	maxStatus = 599
)

var errStatus = fmt.Errorf("want a status code from %d to %d, or a class such as 2xx", minStatus, maxStatus)

// UnmarshalText parses a status code such as 503, or a class of status codes such as 2xx.
func (s *StatusRange) UnmarshalText(text []byte) error {
	first, last := string(text), string(text)
	if class, ok := strings.CutSuffix(strings.ToLower(string(text)), "xx"); ok {
		first, last = class+"00", class+"99"
	}
	var errs [2]error
	s.First, errs[0] = strconv.Atoi(first)
	s.Last, errs[1] = strconv.Atoi(last)
	if errors.Join(errs[:]...) != nil || len(first) != 3 || s.First < minStatus || s.Last > maxStatus {
		return errStatus
	}
	return nil
}

// Has reports whether a status is in the set.
func (c StatusCodes) Has(status int) bool {
	if len(c) == 0 {
		return status >= 200 && status <= 299
	}
	for _, r := range c {
		if r.First <= status && status <= r.Last {
			return true
		}
	}
	return false
}

// HasRedirects reports whether the set contains redirects. A redirect is then a valid response, and is not followed.
func (c StatusCodes) HasRedirects() bool {
	for _, r := range c {
		if r.First <= 399 && r.Last >= 300 {
			return true
		}
	}
	return false
}
