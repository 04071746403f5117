// Package jobtest reads tests of jobs. A test is a txtar archive (golang.org/x/tools/txtar): a configuration with the files
// that it names, what its API answers tick by tick, and what has to come of each tick.
//
//	Incidents are counted.                    options and description
//	start: 2026-03-01T12:00:00Z
//	-- cton.yaml --                           the configuration
//	-- 1 GET /v2/incidents --                 an answer from tick 1 on, until another one replaces it
//	-- 1 metrics --                           what there is to show after tick 1
//	-- 2 errors --                            what goes wrong in tick 2
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

// Example is a test that shows all that a test can have.
func Example() string { return example }

// Bounds on a test.
const (
	maxTicks    = 1000
	maxSections = 10_000
)

// What can be expected of a tick.
const (
	Metrics = "metrics" // all that the job has to show, in the text format
	Errors  = "errors"  // why the tick or its metrics were not measured, and what was left out: a line for each
)

// Test is one test.
type Test struct {
	Options
	Config  Section // its Line is 0 where the archive has none
	Ticks   int     // how many: the highest number that a section has
	Answers *Answers

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
	Line int    // of its marker in the archive, from 1
	Text string

	from, to int // where its text stands in the archive
}

// Place is the section's file and line.
func (s *Section) Place() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

func (s *Section) bad(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", s.Place(), s.Name, fmt.Errorf(format, args...))
}

// Parse reads a test. The error is every problem, joined, each in one line that begins with file and line.
func Parse(file string, text []byte) (*Test, error) {
	t := &Test{file: file, text: text, Config: Section{File: file}, Answers: &Answers{}, expected: map[string]*Section{}}
	archive := txtar.Parse(text)
	if len(archive.Files) > maxSections {
		return nil, fmt.Errorf("%s: %d sections are more than %d", file, len(archive.Files), maxSections)
	}
	errs := []error{t.readOptions(file, string(archive.Comment))}
	t.locate(archive)
	seen := map[string]*Section{}
	for _, s := range t.sections {
		key := strings.Join(strings.Fields(s.Name), " ")
		if wants, _ := wanted(s.Text); s.isOfTick() {
			key += "\n" + strings.Join(wants, "\n")
		}
		if first := seen[key]; first != nil {
			errs = append(errs, s.bad("is there already, in line %d", first.Line))
			continue
		}
		seen[key] = s
		errs = append(errs, t.take(s))
	}
	if t.Config.Line == 0 && len(t.files) > 0 {
		errs = append(errs, t.files[0].bad("is read by nobody: add -- cton.yaml -- that names it, or leave it out and test the files beside -c FILE"))
	}
	if t.Ticks == 0 {
		errs = append(errs, fmt.Errorf("%s: there is no tick: add an answer, such as -- 1 GET /path --, and -- 1 metrics --", file))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// locate finds where each file of the archive stands. What lies between two texts is one marker's line.
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

// take finds out what a section is: those of ticks begin with a number.
func (t *Test) take(s *Section) error {
	switch {
	case s.isOfTick():
		return t.takeOfTick(s)
	case s.Name == "cton.yaml" || s.Name == "config.json":
		if t.Config.Line > 0 {
			return s.bad("there is a configuration already, in line %d", t.Config.Line)
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
			return s.bad("is no section of a tick, and no file's name begins with a digit: want -- N GET /path --, -- N metrics -- or -- N errors --")
		}
	}
	if number[0] == '0' || tick > maxTicks {
		return s.bad("ticks are numbered from 1 to %d", maxTicks)
	}
	t.Ticks = max(t.Ticks, tick)
	what = strings.TrimSpace(what)
	if what == Metrics || what == Errors {
		t.expected[expectation(tick, what)] = s
		return nil
	}
	return t.Answers.add(s, tick, what)
}

func expectation(tick int, what string) string { return fmt.Sprintf("%d %s", tick, what) }

// Expected is the section that says what is expected of a tick; nil = none does.
func (t *Test) Expected(tick int, what string) *Section { return t.expected[expectation(tick, what)] }

// Expects tells whether a section says what is expected of any tick.
func (t *Test) Expects() bool { return len(t.expected) > 0 }

// Extract writes the configuration and the files that it names into a folder. Nothing is written outside it.
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

// Rewrite is the archive with other texts in some sections, and byte for byte as it was elsewhere.
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
