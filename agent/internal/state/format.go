package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 30

const (
	magic   = "cton state "
	version = 1
)

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

// checksum is the CRC-32C (Castagnoli) in hexadecimal digits.
func checksum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// header is the first two lines of a file with these sections, and their order.
func header(sections map[string]Section) (text []byte, order []string, err error) {
	var x index
	size := 0
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		s := sections[name]
		x.Jobs = append(x.Jobs, indexEntry{name, s.Saved, len(s.Data), checksum(s.Data)})
		order = append(order, name)
		size += len(s.Data)
	}
	line, err := json.Marshal(x)
	if err != nil {
		return nil, nil, err
	}
	text = fmt.Appendf(nil, "%s%d %s\n%s\n", magic, version, checksum(line), line)
	if size += len(text); size > maxFile {
		return nil, nil, fmt.Errorf("it would have %d bytes, more than %d", size, maxFile)
	}
	return text, order, nil
}

// parse takes a file apart. The error is what is wrong with it as a whole; damage is what is wrong with single jobs.
func parse(text []byte) (sections map[string]Section, damage map[string]error, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok {
		return nil, nil, errors.New("it is none of cton's state files")
	}
	first, rest, _ := bytes.Cut(rest, []byte("\n"))
	number, crc, _ := strings.Cut(string(first), " ")
	if v, err := strconv.Atoi(number); err == nil && v > version {
		return nil, nil, fmt.Errorf("it has version %d, which a later cton has written; this one knows %d", v, version)
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
			damage[e.Name] = errors.New("the file ends before its end")
		case checksum(data) != e.CRC:
			damage[e.Name] = errors.New("its checksum is wrong")
		default:
			sections[e.Name] = Section{e.Saved, data}
		}
	}
	return sections, damage, nil
}

func read(d files, name string) (map[string]Section, map[string]error, error) {
	text, err := d.Read(name, maxFile+1)
	if isNotThere(err) {
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

// replace puts a file with these sections in the place of the one before.
func replace(d files, name string, sections map[string]Section) error {
	text, order, err := header(sections)
	if err != nil {
		return err
	}
	next := name + ".next"
	if err := create(d, next, text, order, sections); err != nil {
		_ = d.Remove(next) // what is left of it takes room; the next one replaces it anyway
		return err
	}
	if err := d.Rename(next, name); err != nil {
		return err
	}
	return d.SyncDir()
}

func create(d files, name string, header []byte, order []string, sections map[string]Section) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(header)
	for _, job := range order {
		if err == nil {
			_, err = f.Write(sections[job].Data)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func isNotThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
