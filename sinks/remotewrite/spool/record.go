package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// Record is one encoded request. The queue does not look into its payload.
type Record struct {
	Meta
	Payload []byte        // not changed after it was put
	Age     time.Duration // since it was put, whatever the clock was set to; set by Next
	// Again says that its samples may have been sent before. Next also sets it for the record of an earlier run, which may have ended
	// between the response and the end of Ack, and of another process, which may repeat what one before it has sent.
	Again bool
}

// Meta describes a record. The name of the record's file holds all of it.
type Meta struct {
	ID         uint64 // its place in the queue, from 1; set by Put
	Shard      int    // from 0; all records of a series have the same
	Protocol   int    // of the payload; the caller's own number
	Taken      int64  // when it was put, in Unix milliseconds; set by Put
	Oldest     int64  // time of its oldest sample, in Unix milliseconds
	Newest     int64  // time of its newest sample, in Unix milliseconds
	Samples    int    // without native histograms
	Histograms int    // native ones
	Exemplars  int
	Bytes      int // length of the payload; set by Put
}

// The format: a file is named after the record,
//
//	0000000000000007.s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764.rec
//
// and holds a line of text, the payload, and the CRC-32C (Castagnoli, big-endian) of both. The line has the format's name,
// its version, and the name of the file without the ID:
//
//	cton-spool 1 s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764
//
// The files of each later version also end in .rec, begin with the record's ID if they have one, and start with the same word
// and the version's number, so that each earlier program recognizes them. testdata has records of each version: every later
// program reads them.
const (
	suffix  = ".rec"
	letters = "sptonvheb" // of the fields
	magic   = "cton-spool "
	version = 1

	zeros = "0000000000000000"
	maxID = 1e16 // below it, names sort as IDs do

	maxPayload = 1 << 30 // in bytes
)

// VersionError is the error for a record of a later version of the format.
type VersionError struct {
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("has version %d of the format, and this cton reads versions up to %d", e.Version, version)
}

// laterVersion returns an error if a file has a later version of the format.
func laterVersion(fsys durable.FS, name string) *VersionError {
	later, _ := inspect(fsys, name) // what cannot be read is not known to be of a later version
	return later
}

// inspect reads the version of a file.
func inspect(fsys durable.FS, name string) (later *VersionError, err error) {
	text, err := fsys.ReadFile(name, int64(len(magic)+10))
	if v := versionOf(text); err == nil && v > version {
		return &VersionError{v}, nil
	}
	return nil, err
}

// versionOf returns the version in a file's first line, or 0 if there is none.
func versionOf(file []byte) int {
	rest, ok := bytes.CutPrefix(file, []byte(magic))
	if !ok {
		return 0
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	v, err := strconv.Atoi(string(rest[:digits]))
	if err != nil {
		return 0
	}
	return v
}

// label returns all of m but its ID: each field's letter and number.
func (m *Meta) label() string {
	fields := [...]int64{
		int64(m.Shard), int64(m.Protocol), m.Taken, m.Oldest, m.Newest,
		int64(m.Samples), int64(m.Histograms), int64(m.Exemplars), int64(m.Bytes),
	}
	text := make([]byte, 0, 96)
	for i, n := range fields {
		if i > 0 {
			text = append(text, '.')
		}
		text = strconv.AppendInt(append(text, letters[i]), n, 10)
	}
	return string(text)
}

// name returns the name of the record's file.
func (m *Meta) name() string {
	id := strconv.FormatUint(m.ID, 10)
	return zeros[min(len(zeros), len(id)):] + id + "." + m.label() + suffix
}

// parseName parses the name of a file. It reports whether it is one that name returns.
func parseName(name string) (m Meta, ok bool) {
	first, rest, _ := strings.Cut(name, ".")
	m.ID, _ = strconv.ParseUint(first, 10, 64) // the comparison below finds errors
	var fields [len(letters)]int64
	for i := range fields {
		first, rest, _ = strings.Cut(rest, ".")
		fields[i], _ = strconv.ParseInt(strings.TrimPrefix(first, letters[i:i+1]), 10, 64)
	}
	for _, i := range []int{0, 1, 5, 6, 7, 8} { // all but the times
		if fields[i] < 0 || fields[i] > maxPayload {
			return Meta{}, false
		}
	}
	m.Shard, m.Protocol = int(fields[0]), int(fields[1])
	m.Taken, m.Oldest, m.Newest = fields[2], fields[3], fields[4]
	m.Samples, m.Histograms, m.Exemplars, m.Bytes = int(fields[5]), int(fields[6]), int(fields[7]), int(fields[8])
	if m.ID == 0 || m.ID >= maxID || m.name() != name {
		return Meta{}, false
	}
	return m, true
}

// header returns the first line of the record's file.
func (m *Meta) header() string { return magic + strconv.Itoa(version) + " " + m.label() + "\n" }

// size returns the length of the record's file, in bytes.
func (m *Meta) size() int { return len(m.header()) + m.Bytes + crc32.Size }

// encode returns the content of the record's file.
func (r *Record) encode() []byte {
	file := slices.Concat([]byte(r.header()), r.Payload, make([]byte, crc32.Size))
	body := len(file) - crc32.Size
	binary.BigEndian.PutUint32(file[body:], durable.Checksum(file[:body]))
	return file
}

// decode returns the payload in the content of m's file. The error continues a sentence that begins with the file.
func (m *Meta) decode(file []byte) ([]byte, error) {
	header := m.header()
	switch v := versionOf(file); {
	case len(file) == 0:
		return nil, errors.New("is empty")
	case v > version:
		return nil, &VersionError{v}
	case v != version:
		return nil, errors.New("is not a spool's record")
	case len(file) < m.size():
		return nil, fmt.Errorf("is cut short: %d bytes of %d", len(file), m.size())
	case len(file) > m.size():
		return nil, fmt.Errorf("is longer than the %d bytes of its record", m.size())
	}
	body := len(file) - crc32.Size
	if binary.BigEndian.Uint32(file[body:]) != durable.Checksum(file[:body]) {
		return nil, errors.New("does not match its checksum")
	}
	if !bytes.HasPrefix(file, []byte(header)) {
		return nil, errors.New("has the name of another record")
	}
	return file[len(header):body:body], nil
}
