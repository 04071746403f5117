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
)

// Record is one encoded request, which the queue does not look into.
type Record struct {
	Meta
	Payload []byte // never changed once it is put
}

// Meta is what is known of a record without reading it: the name of its file says all of it.
type Meta struct {
	ID         uint64 // its place in the queue, from 1; given by Put
	Shard      int    // who sends it, from 0; all records of a series belong to one shard
	Protocol   int    // of the payload; the caller's own number
	Taken      int64  // when it was put, in Unix milliseconds; given by Put
	Oldest     int64  // time of its oldest sample, in Unix milliseconds
	Newest     int64  // time of its newest sample, in Unix milliseconds
	Samples    int    // without the native histograms
	Histograms int
	Exemplars  int
	Bytes      int // length of the payload; given by Put
}

// maxPayload bounds what a file's name can make us read, in bytes.
const maxPayload = 1 << 30

const (
	suffix  = ".rec" // of a record's file
	unready = ".tmp" // after it, while the file is being written
	letters = "sptonvheb"
)

// label is all of m but its ID, each number behind the letter that stands for its field.
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

const (
	zeros = "0000000000000000"
	maxID = 1e16 // up to which names sort as their IDs do
)

// name is the record's file: names sort as the records do.
func (m *Meta) name() string {
	id := strconv.FormatUint(m.ID, 10)
	return zeros[min(len(zeros), len(id)):] + id + "." + m.label() + suffix
}

// parseName reads a name back and tells whether it is one that name gives.
func parseName(name string) (m Meta, ok bool) {
	first, rest, _ := strings.Cut(name, ".")
	m.ID, _ = strconv.ParseUint(first, 10, 64)
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

// A file is a line of text that names the format, its version and the record's label, then the payload, then the CRC-32C
// (Castagnoli, big-endian) of all before it.
const (
	magic   = "cton-spool "
	version = magic + "1 "
)

func (m *Meta) header() string { return version + m.label() + "\n" }

// size is the length of the record's file, in bytes.
func (m *Meta) size() int { return len(m.header()) + m.Bytes + crc32.Size }

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// encode is the content of the record's file.
func (r *Record) encode() []byte {
	file := slices.Concat([]byte(r.header()), r.Payload, make([]byte, crc32.Size))
	body := len(file) - crc32.Size
	binary.BigEndian.PutUint32(file[body:], checksum(file[:body]))
	return file
}

// decode takes the payload out of the content of m's file, or says what is wrong with it.
func (m *Meta) decode(file []byte) ([]byte, error) {
	header := m.header()
	switch {
	case len(file) == 0:
		return nil, errors.New("is empty")
	case !bytes.HasPrefix(file, []byte(magic)):
		return nil, errors.New("is not a spool's record")
	case !bytes.HasPrefix(file, []byte(version)):
		return nil, errors.New("is a record of a version that this program does not know")
	case len(file) < m.size():
		return nil, fmt.Errorf("is cut short: %d bytes of %d", len(file), m.size())
	case len(file) > m.size():
		return nil, fmt.Errorf("is longer than the %d bytes of its record", m.size())
	}
	body := len(file) - crc32.Size
	if binary.BigEndian.Uint32(file[body:]) != checksum(file[:body]) {
		return nil, errors.New("does not match its checksum")
	}
	if !bytes.HasPrefix(file, []byte(header)) {
		return nil, errors.New("has the name of another record")
	}
	return file[len(header):body:body], nil
}
