package exec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

// maxExitCode is the highest that a process can end with (POSIX.1-2024, _exit: status & 0377).
const maxExitCode = 255

// Validate names every problem by its setting.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	switch {
	case len(c.Command) == 0 && c.Shell == "":
		bad("command", "is needed: a program and its arguments, such as [df, --output=size]; or shell, with what /bin/sh is to run")
	case len(c.Command) > 0 && c.Shell != "":
		bad("shell", "stands beside command: keep one of them")
	case len(c.Command) > 0 && c.Command[0] == "":
		bad("command.0", "is empty: want a program")
	case len(c.Command) > 0 && strings.Contains(c.Command[0], "{{"):
		bad("command.0", "a program is no template: only its arguments are")
	}
	for _, t := range c.templates() {
		if _, err := template.Parse(t.text); err != nil {
			bad(t.path, "%v", err)
		}
	}
	for i, arg := range c.Command {
		if strings.Contains(arg, "\x00") {
			bad(fmt.Sprintf("command.%d", i), "holds a zero byte, which no argument can")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			bad("env."+name, "is no name of an environment variable")
		case strings.Contains(string(c.Env[name]), "\x00"):
			bad("env."+name, "holds a zero byte, which no environment variable can")
		}
	}
	for i, code := range c.OKExitCodes {
		if code < 0 || code > maxExitCode {
			bad(fmt.Sprintf("ok_exit_codes.%d", i), "want 0 to %d", maxExitCode)
		}
	}
	if c.MaxOutput <= 0 {
		bad("max_output", "want more than 0, such as 10MiB")
	}
	if c.Document == Result && c.Decoding.Format != format.Auto {
		bad("format", "goes with document: output; of a result the output is text")
	}
	return errors.Join(append(problems, c.Decoding.Validate())...)
}
