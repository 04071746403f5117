package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// module is a Go module with packages that are linked into the binary.
type module struct {
	path, version string
	sum           string   // hash (h1) from go.sum; "" for std
	spdx          []string // SPDX names of the licences, sorted
	files         []notice
}

// notice is a licence or a notice that must be distributed with the binary.
type notice struct {
	name string // path in the module
	text string
}

// goPackage has the fields of a package that are read from the output of go list -json.
type goPackage struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir, Sum string
		Main                    bool
		Replace                 *struct{ Path, Version, Dir, Sum string }
	}
}

// linked returns the modules of the binary, with the licences of the packages that the binary contains. The standard library of Go is
// the module std.
func (b *build) linked() ([]module, error) {
	list, err := b.run("list", "-deps", "-json=Dir,Standard,Module", mainPackage)
	if err != nil {
		return nil, err
	}
	goroot, err := b.run("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	found := map[string]*module{"std": {path: "std", version: b.goes}}
	if err := found["std"].gather(strings.TrimSpace(string(goroot)), "."); err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m := found[p.Module.Path]
		if m == nil {
			m = &module{path: p.Module.Path, version: p.Module.Version, sum: p.Module.Sum}
			found[m.path] = m
		}
		in, err := filepath.Rel(p.Module.Dir, p.Dir)
		if err != nil {
			return nil, err
		}
		if err := m.gather(p.Module.Dir, in); err != nil {
			return nil, err
		}
	}
	return sorted(found)
}

func sorted(found map[string]*module) ([]module, error) {
	var all []module
	var problems []error
	for _, m := range found {
		slices.SortFunc(m.files, func(a, b notice) int { return cmp.Compare(a.name, b.name) })
		slices.Sort(m.spdx)
		m.spdx = slices.Compact(m.spdx)
		if len(m.spdx) == 0 {
			problems = append(problems, fmt.Errorf("%s %s has no licence that is known: it cannot be distributed before someone has looked at it", m.path, m.version))
		}
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return all, errors.Join(problems...)
}

// legal matches the names of files with licences and notices.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)([-._].*)?$`)

// licence matches the names of files that contain only licences.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)

// source matches the names of files with code or data, such as license.go. Some of these names also match the pattern "legal".
var source = regexp.MustCompile(`(?i)\.(go|s|c|h|py|sh|tmpl|json)$`)

// enough is the percentage of a file's text that must match known licences.
const enough = 60

// gather reads the licences and notices of a module. The argument "root" is the module's directory, and "in" is the path of a directory
// below it. gather reads the files of that directory and of all its parent directories up to the module's directory.
func (m *module) gather(root, in string) error {
	for ; ; in = filepath.Dir(in) {
		entries, err := os.ReadDir(filepath.Join(root, in))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.ToSlash(filepath.Join(in, e.Name()))
			known := slices.ContainsFunc(m.files, func(n notice) bool { return n.name == name })
			if !e.Type().IsRegular() || known || !legal.MatchString(e.Name()) || source.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return err
			}
			m.files = append(m.files, notice{name, string(text)})
			if c := licensecheck.Scan(text); c.Percent >= enough && licence.MatchString(e.Name()) {
				for _, match := range c.Match {
					m.spdx = append(m.spdx, match.ID)
				}
			}
		}
		if in == "." {
			return nil
		}
	}
}

// thirdParty returns a text with the licences and notices of all modules.
func (b *build) thirdParty() []byte {
	var out bytes.Buffer
	out.WriteString("This program contains parts of the modules below. Their licences follow.\n\n")
	for _, m := range b.modules {
		fmt.Fprintf(&out, "%s %s (%s)\n", m.path, m.version, strings.Join(m.spdx, ", "))
	}
	for _, m := range b.modules {
		for _, f := range m.files {
			fmt.Fprintf(&out, "\n%s\n%s %s: %s\n%[1]s\n\n%[5]s\n", strings.Repeat("=", 80), m.path, m.version, f.name, strings.TrimSpace(f.text))
		}
	}
	return out.Bytes()
}
