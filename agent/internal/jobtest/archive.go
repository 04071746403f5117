// Package jobtest reads and runs tests of jobs. A test is a txtar archive (golang.org/x/tools/txtar) of a configuration with
// its files, the responses of its API, and the expected metrics and errors of each tick.
//
//	Incidents are counted.                    options and description
//	start: 2026-03-01T12:00:00Z
//	-- cton.yaml --                           the configuration
//	-- 1 GET /v2/incidents --                 a response from tick 1 on, until another one replaces it
//	-- 1 metrics --                           the job's metrics after tick 1
//	-- 2 errors --                            the errors of tick 2
package jobtest

import (
	"bytes"
	_ "embed" // the example
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/tools/txtar"
)

//go:embed example.txtar
var example string

// Example returns a test with everything that a test can have.
func Example() string { return example }

// Bounds on a test.
const (
	maxTicks    = 1000
	maxSections = 10_000
)

// The kinds of expectations.
const (
	Metrics = "metrics" // all of the job's metrics, in the text format
	Errors  = "errors"  // why the tick or its metrics were not measured, and which readings were dropped, one line each
)

// Test is one test.
type Test struct {
	Options
	Config    Section // Line is 0 if the archive has none
	Ticks     int     // the highest number of a section
	Responses *Responses

	file     string
	text     []byte
	sections []*Section
	files    []*Section
	expected map[string]*Section // by expectation
}

// Section is one file of the archive.
type Section struct {
	Name string
	File string // the archive
	Line int    // of its marker, from 1
	Text string

	from, to int // the range of its text in the archive
}

// Place returns the section's file and line.
func (s *Section) Place() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

func (s *Section) bad(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", s.Place(), s.Name, fmt.Errorf(format, args...))
}

// Parse reads a test. The error joins all problems, each in one line that starts with file and line.
func Parse(file string, text []byte) (*Test, error) {
	t := &Test{file: file, text: text, Config: Section{File: file}, Responses: &Responses{}, expected: map[string]*Section{}}
	archive := txtar.Parse(text)
	if len(archive.Files) > maxSections {
		return nil, fmt.Errorf("%s: %d sections are more than %d", file, len(archive.Files), maxSections)
	}
	errs := []error{t.readOptions(file, string(archive.Comment))}
	t.locate(archive)
	seen := map[string]*Section{}
	for _, s := range t.sections {
		key := strings.Join(strings.Fields(s.Name), " ")
		if expects, _ := expectations(s.Text); s.isOfTick() {
			key += "\n" + strings.Join(expects, "\n")
		}
		if first := seen[key]; first != nil {
			errs = append(errs, s.bad("is already set in line %d", first.Line))
			continue
		}
		seen[key] = s
		errs = append(errs, t.take(s))
	}
	if t.Config.Line == 0 && len(t.files) > 0 {
		errs = append(errs, t.files[0].bad("is not used: add -- cton.yaml -- that names it, or leave it out, since with -c FILE the files of its folder are tested"))
	}
	if t.Ticks == 0 {
		errs = append(errs, fmt.Errorf("%s: there is no run: add a response, such as -- 1 GET /path --, and -- 1 metrics --", file))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// locate finds the range of each file in the archive. Between two texts is exactly one line, the marker.
func (t *Test) locate(archive *txtar.Archive) {
	at := len(archive.Comment)
	for _, f := range archive.Files {
		s := &Section{Name: f.Name, File: t.file, Line: 1 + bytes.Count(t.text[:at], []byte("\n")), Text: string(f.Data)}
		s.from = len(t.text)
		if n := bytes.IndexByte(t.text[at:], '\n'); n >= 0 {
			s.from = at + n + 1
		}
		s.to = min(s.from+len(f.Data), len(t.text)) // txtar ends the last text with a line break, the archive may not
		at = s.to
		t.sections = append(t.sections, s)
	}
}

func (s *Section) isOfTick() bool { return s.Name[0] >= '0' && s.Name[0] <= '9' }

// take adds a section. The name of a tick's section starts with a number.
func (t *Test) take(s *Section) error {
	switch {
	case s.isOfTick():
		return t.takeOfTick(s)
	case s.Name == "cton.yaml" || s.Name == "config.json":
		if t.Config.Line > 0 {
			return s.bad("there is already a configuration in line %d", t.Config.Line)
		}
		t.Config = *s
	}
	t.files = append(t.files, s)
	return nil
}

func (t *Test) takeOfTick(s *Section) error {
	number, what, _ := strings.Cut(s.Name, " ")
	tick := 0
	for _, digit := range number {
		tick = min(10*tick+int(digit-'0'), maxTicks+1)
		if digit < '0' || digit > '9' {
			return s.bad("a file's name cannot start with a digit, and a section of a run must be -- N GET /path --, -- N metrics -- or -- N errors --")
		}
	}
	if number[0] == '0' || tick > maxTicks {
		return s.bad("runs are numbered from 1 to %d", maxTicks)
	}
	t.Ticks = max(t.Ticks, tick)
	what = strings.TrimSpace(what)
	if what == Metrics || what == Errors {
		t.expected[expectation(tick, what)] = s
		return nil
	}
	return t.Responses.add(s, tick, what)
}

func expectation(tick int, what string) string { return fmt.Sprintf("%d %s", tick, what) }

// Expected returns the section with an expectation for a tick, nil if there is none.
func (t *Test) Expected(tick int, what string) *Section { return t.expected[expectation(tick, what)] }

// Expects reports whether there is an expectation for any tick.
func (t *Test) Expects() bool { return len(t.expected) > 0 }

// Extract writes the configuration and its files into a folder, and nothing outside of it.
func (t *Test) Extract(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, s := range t.files {
		err := root.MkdirAll(path.Dir(s.Name), 0o700)
		if err == nil {
			err = root.WriteFile(s.Name, []byte(s.Text), 0o600)
		}
		if err != nil {
			return s.bad("write the file: %w", err)
		}
	}
	return nil
}

// Rewrite returns the archive with new texts in some sections. All else stays byte for byte.
func (t *Test) Rewrite(texts map[*Section]string) []byte {
	var b bytes.Buffer
	at := 0
	for _, s := range t.sections {
		text, other := texts[s]
		if !other {
			continue
		}
		b.Write(t.text[at:s.from])
		if n := b.Len(); text != "" && b.Bytes()[n-1] != '\n' {
			b.WriteByte('\n') // the archive ends within this section's marker
		}
		b.WriteString(text)
		at = s.to
	}
	b.Write(t.text[at:])
	return b.Bytes()
}
