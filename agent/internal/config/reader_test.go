package config

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"api": true, "Zähler 1/2": true, strings.Repeat("x", 100): true, strings.Repeat("ü", 50): true,
		"": false, strings.Repeat("x", 101): false, strings.Repeat("ü", 51): false, "a\tb": false, "a\x7fb": false, "a\u0085b": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
