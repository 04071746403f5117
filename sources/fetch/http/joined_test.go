package http

import "testing"

func TestJoinQueries(t *testing.T) {
	for _, c := range [][3]string{
		{"module=http_2xx", "target=a", "module=http_2xx&target=a"},
		{"module=http_2xx&x={{ .Window.Start }}", "module=b", "x={{ .Window.Start }}&module=b"},
		{"a%20b=1&c=2", "a+b=3", "c=2&a+b=3"}, {"", "a=1", "a=1"}, {"a=1", "", "a=1"}, {"", "", ""},
	} {
		if got := joinQueries(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
