package command

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
)

// printJSON prints a value as JSON, without secrets.
func printJSON(a *App, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err = scrubber{a.Out, a.vault}.Write(append(text, '\n'))
	return err
}

// junitSuite is a report in the JUnit XML format, which CI systems read (https://github.com/testmoapp/junitxml).
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Seconds  float64     `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Seconds float64       `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"` // the first line of Text
	Text    string `xml:",chardata"`
}

// add adds a test case. The case counts as failed if failure is not "".
func (s *junitSuite) add(c junitCase, failure string) {
	if failure != "" {
		first, _, _ := strings.Cut(failure, "\n")
		c.Failure = &junitFailure{first, failure}
		s.Failures++
	}
	s.Tests++
	s.Seconds += c.Seconds
	s.Cases = append(s.Cases, c)
}

// write writes the suite to a file, without secrets.
func (s *junitSuite) write(a *App, file string) error {
	text, err := xml.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(file, []byte(a.vault.Scrub(xml.Header+string(text)+"\n")), 0o644)
	}
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}

func (r *testReport) junit() *junitSuite {
	s := &junitSuite{Name: "cton test"}
	for _, t := range r.Tests {
		out := ""
		for _, w := range t.Warnings {
			out += "warning: " + w.String() + "\n"
		}
		s.add(junitCase{Class: "cton test", Name: t.File, File: t.File, Seconds: t.Seconds, Out: out}, strings.Join(t.Failures, "\n"))
	}
	return s
}

// checkReport is what check --json prints.
type checkReport struct {
	OK       bool           `json:"ok"`
	Files    []string       `json:"files"`
	Jobs     []string       `json:"jobs"`
	Sinks    []string       `json:"sinks"`
	Problems []checkProblem `json:"problems"`
	Notes    []string       `json:"notes,omitempty"`

	Warnings []config.Warning `json:"warnings,omitempty"`

	strict  bool     // warnings count as failures
	Changes []string `json:"changes,omitempty"` // the changes that --diff found
}

// checkProblem is a problem of a configuration. If File is "", the problem has no position in a file.
type checkProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Setting string `json:"setting,omitempty"`
	Text    string `json:"text"`
}

// add adds the files, jobs, sinks and warnings of a plan.
func (r *checkReport) add(plan *config.Plan) {
	r.Files = append(r.Files, plan.Files()...)
	for _, j := range plan.Jobs {
		r.Jobs = append(r.Jobs, j.Name)
	}
	for _, s := range plan.Sinks {
		r.Sinks = append(r.Sinks, s.Name)
	}
	r.Warnings = plan.Warnings
}

// problem adds an error.
func (r *checkReport) problem(setting string, err error) {
	r.OK = false
	all, ok := errors.AsType[config.Problems](err)
	if !ok {
		r.Problems = append(r.Problems, checkProblem{Setting: setting, Text: err.Error()})
	}
	for _, p := range all {
		r.Problems = append(r.Problems, checkProblem{p.File, p.Line, p.Col, p.Path, p.Text})
	}
}

// junit returns a case for each problem and warning, and for each job and sink without a problem.
func (r *checkReport) junit() *junitSuite {
	s := &junitSuite{Name: "cton check"}
	failed := map[string]bool{}
	for _, p := range r.Problems {
		where := p.File
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		name := p.Setting
		if name == "" {
			name = "configuration"
		}
		part := strings.SplitN(name, ".", 3)
		failed[strings.Join(part[:min(len(part), 2)], ".")] = true
		s.add(junitCase{Class: "cton check", Name: name, File: p.File, Line: p.Line}, strings.TrimPrefix(where+": "+p.Text, ": "))
	}
	for _, w := range r.Warnings {
		failure := ""
		if r.strict {
			failure = w.String()
		}
		s.add(junitCase{Class: "cton check", Name: "warning: " + w.Place, Out: w.String()}, failure)
	}
	pass := func(kind string, names []string) {
		for _, name := range names {
			if !failed[kind+name] {
				s.add(junitCase{Class: "cton check", Name: kind + name}, "")
			}
		}
	}
	pass("jobs.", r.Jobs)
	pass("sinks.", r.Sinks)
	return s
}
