// Package jobtest reads and runs tests of jobs. A test is a txtar archive (golang.org/x/tools/txtar). It contains a
// configuration and its files, the responses of the API, and the expected metrics and errors of each tick. A tick is one run
// of the job.
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

// Example returns a test that uses everything that tests support.
func Example() string { return example }

// Limits for a test.
const (
	maxTicks    = 1000
	maxSections = 10_000
)

// Kinds of expectations.
const (
	Metrics = "metrics" // all metrics of the job, in the text format
	Errors  = "errors"  // why the tick or single metrics were not measured, and which readings were dropped, one per line
)

// Test is a test that was read from an archive.
type Test struct {
	Options
	Config    Section // Line is 0 if the archive has no configuration
	Ticks     int     // number of ticks: the highest number of a section
	Responses *Responses

	file     string
	text     []byte
	sections []*Section
	files    []*Section
	expected map[string]*Section // by tick and kind
}

// Section is a file of the archive.
type Section struct {
	Name string
	File string // name of the archive
	Line int    // line of its marker in the archive, counted from 1
	Text string

	from, to int // range of its text in the archive
}

// Place returns the file and the line of the section.
func (s *Section) Place() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

func (s *Section) bad(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", s.Place(), s.Name, fmt.Errorf(format, args...))
}

// Parse reads a test. If there are problems, the error joins them. Each problem is one line that starts with file and line.
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

// locate finds the range of each file's text in the archive. The texts of two files are separated by exactly one line, the
// marker.
func (t *Test) locate(archive *txtar.Archive) {
	at := len(archive.Comment)
	for _, f := range archive.Files {
		s := &Section{Name: f.Name, File: t.file, Line: 1 + bytes.Count(t.text[:at], []byte("\n")), Text: string(f.Data)}
		s.from = len(t.text)
		if n := bytes.IndexByte(t.text[at:], '\n'); n >= 0 {
			s.from = at + n + 1
		}
		s.to = min(s.from+len(f.Data), len(t.text)) // txtar adds a line break to the last text if the archive has none there
		at = s.to
		t.sections = append(t.sections, s)
	}
}

func (s *Section) isOfTick() bool { return s.Name[0] >= '0' && s.Name[0] <= '9' }

// take adds a section. If its name starts with a number, it belongs to a tick.
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

// Expected returns the section with an expectation for a tick, or nil if there is none.
func (t *Test) Expected(tick int, what string) *Section { return t.expected[expectation(tick, what)] }

// Expects reports whether the test has any expectation.
func (t *Test) Expects() bool { return len(t.expected) > 0 }

// Extract writes the configuration and its files into a folder. It does not write files outside of this folder.
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

// Rewrite returns the archive with new texts for some sections. All other bytes are unchanged.
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
			b.WriteByte('\n') // the archive ends within the marker of this section
		}
		b.WriteString(text)
		at = s.to
	}
	b.Write(t.text[at:])
	return b.Bytes()
}
