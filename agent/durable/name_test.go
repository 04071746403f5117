package durable

import (
	"strings"
	"testing"
)

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a/b c": "a%2Fb%20c", "..": "%2E.", ".": "%2E", "": "", "a\x00b": "a%00b",
		strings.Repeat("ü", 22): "3e36a0d25fe93128699af00310129cabc2b4ef7cda9cbcca52f43c30c5e1f516",
	} {
		if got := FileName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
