package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// The format is two lines of text and the sections, one after the other:
//
//	cton state 1 5e3c41d2                                            the version, and the checksum of the second line
//	{"jobs":[{"name":"oncall","saved":"…","bytes":812,"crc":"…"}]}   the index: the sections, in their order
//	…
//
// Checksums are CRC-32C (Castagnoli) in hexadecimal digits. Each later version begins with the same words and its number, so
// that each earlier program recognizes it. testdata has a file of each version: every later program reads it.
const (
	magic   = "cton state "
	version = 1
)

// VersionError is the error for a file of a later version of the format.
type VersionError struct {
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("it has version %d of the format, and this cton reads versions up to %d: start the later cton that wrote it, "+
		"or move the file away to start all jobs without state", e.Version, version)
}

// maxFile is the maximum size of a file, in bytes.
const maxFile = 1 << 30

// index is the second line.
type index struct {
	Jobs []indexEntry `json:"jobs"`
}

type indexEntry struct {
	Name  string    `json:"name"`
	Saved time.Time `json:"saved"`
	Bytes int       `json:"bytes"`
	CRC   string    `json:"crc"`
}

func checksum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// header returns the first two lines of a file, and the jobs in the order of their sections.
func header(sections map[string]Section) (text []byte, jobs []string, err error) {
	var x index
	size := 0
	jobs = slices.Sorted(maps.Keys(sections))
	for _, job := range jobs {
		s := sections[job]
		x.Jobs = append(x.Jobs, indexEntry{job, s.Saved, len(s.Data), checksum(s.Data)})
		size += len(s.Data)
	}
	line, err := json.Marshal(x)
	if err != nil {
		return nil, nil, err
	}
	text = fmt.Appendf(nil, "%s%d %s\n%s\n", magic, version, checksum(line), line)
	if size += len(text); size > maxFile {
		return nil, nil, fmt.Errorf("the state has %d bytes, more than %d", size, maxFile)
	}
	return text, jobs, nil
}

// parse returns the sections of a file that are whole, and what is wrong with the others. It returns an error if there is
// something wrong with the file as a whole.
func parse(text []byte) (sections map[string]Section, damage map[string]error, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok {
		return nil, nil, errors.New("it is not a state file of cton")
	}
	first, rest, _ := bytes.Cut(rest, []byte("\n"))
	number, crc, _ := strings.Cut(string(first), " ")
	if v, err := strconv.Atoi(number); err == nil && v > version {
		return nil, nil, &VersionError{v}
	}
	line, rest, whole := bytes.Cut(rest, []byte("\n"))
	if number != strconv.Itoa(version) || !whole || checksum(line) != crc {
		return nil, nil, errors.New("its beginning is damaged")
	}
	var x index
	if err := json.Unmarshal(line, &x); err != nil {
		return nil, nil, fmt.Errorf("its index is damaged: %w", err)
	}
	sections, damage = map[string]Section{}, map[string]error{}
	for _, e := range x.Jobs {
		data := rest[:min(max(e.Bytes, 0), len(rest))]
		rest = rest[len(data):]
		switch {
		case len(data) != e.Bytes:
			damage[e.Name] = errors.New("the file is cut short")
		case checksum(data) != e.CRC:
			damage[e.Name] = errors.New("the checksum does not match")
		default:
			sections[e.Name] = Section{e.Saved, data}
		}
	}
	return sections, damage, nil
}

// read reads and parses a file. A missing file has no sections.
func read(fsys durable.FS, name string) (map[string]Section, map[string]error, error) {
	text, err := fsys.ReadFile(name, maxFile+1)
	if isNotExist(err) {
		return map[string]Section{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxFile {
		return nil, nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return parse(text)
}

// replace replaces a file by one with these sections.
func replace(fsys durable.FS, name string, sections map[string]Section) error {
	text, jobs, err := header(sections)
	if err != nil {
		return err
	}
	return durable.Replace(fsys, name, func(w io.Writer) error {
		_, err := w.Write(text)
		for _, job := range jobs {
			if err == nil {
				_, err = w.Write(sections[job].Data)
			}
		}
		return err
	})
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
