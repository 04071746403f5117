package http

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// StatusCodes is a set of status codes, such as 2xx and 503. The empty set is 2xx.
type StatusCodes []StatusRange

// StatusRange is the status codes from first to last, both included.
type StatusRange struct{ first, last int }

// The status codes of final responses (RFC 9110 section 15).
const (
	minStatus = 200
	maxStatus = 599
)

var errStatus = fmt.Errorf("want a status code from %d to %d, or a class such as 2xx", minStatus, maxStatus)

// UnmarshalText parses a status code or a class of them.
func (s *StatusRange) UnmarshalText(text []byte) error {
	first, last := string(text), string(text)
	if class, ok := strings.CutSuffix(strings.ToLower(string(text)), "xx"); ok {
		first, last = class+"00", class+"99"
	}
	var errs [2]error
	s.first, errs[0] = strconv.Atoi(first)
	s.last, errs[1] = strconv.Atoi(last)
	if errors.Join(errs[:]...) != nil || len(first) != 3 || s.first < minStatus || s.last > maxStatus {
		return errStatus
	}
	return nil
}

// has reports whether a status is in the set.
func (c StatusCodes) has(status int) bool {
	if len(c) == 0 {
		return status >= 200 && status <= 299
	}
	for _, r := range c {
		if r.first <= status && status <= r.last {
			return true
		}
	}
	return false
}

// hasRedirects reports whether a redirect is a valid response, so that it is not followed.
func (c StatusCodes) hasRedirects() bool {
	for _, r := range c {
		if r.first <= 399 && r.last >= 300 {
			return true
		}
	}
	return false
}
