package setting

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func texts(err error) string {
	var lines []string
	for _, p := range Problems(err) {
		lines = append(lines, p.Path+"|"+p.Text)
	}
	return strings.Join(lines, "\n")
}

func TestProblemsKeepOrderAndPath(t *testing.T) {
	inner := errors.Join(Errorf("password", "required"), Errorf("", "wants %s", "a name"), io.EOF)
	err := errors.Join(Errorf("url", "required"), nil, Under("basic_auth", inner), errors.Join(Errorf("scopes.0", "empty")))
	want := "url|required\nbasic_auth.password|required\nbasic_auth|wants a name\nbasic_auth|EOF\nscopes.0|empty"
	if got := texts(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnderNothingIsNoError(t *testing.T) {
	if err := Under("tls_config", nil); err != nil {
		t.Errorf("got %v", err)
	}
	if got := Problems(nil); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestProblemTextNamesTheSetting(t *testing.T) {
	if got := Errorf("a.b", "want %d", 3).Error(); got != "a.b: want 3" {
		t.Errorf("got %q", got)
	}
	if got := Errorf("", "alone").Error(); got != "alone" {
		t.Errorf("got %q", got)
	}
	// A problem is found inside an error that wraps it.
	if got := texts(fmt.Errorf("sink x: %w", Errorf("url", "required"))); got != "url|required" {
		t.Errorf("got %q", got)
	}
}
