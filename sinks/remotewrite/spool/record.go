package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// Record is one encoded request. The queue does not interpret the payload.
type Record struct {
	Meta
	Payload []byte        // must not be modified after Put
	Age     time.Duration // time since the record was put, independent of clock changes; set by Next
	// Again says that the samples have perhaps been sent before. The caller of Put can set it. Next also sets it in two cases. The first case
	// is a record of an earlier process, which may have ended between the response and the end of Ack. The second case is a record of another
	// process, which may repeat samples that an earlier process has sent.
	Again bool
}

// Meta describes a record. The name of the record's file contains all of its fields.
type Meta struct {
	ID         uint64 // its position in the queue, from 1; set by Put
	Shard      int    // from 0; all samples of a series are in the same shard
	Protocol   int    // protocol of the payload, a number that the caller chooses
	Taken      int64  // when the record was put, in Unix milliseconds; set by Put
	Oldest     int64  // time of its oldest sample, in Unix milliseconds
	Newest     int64  // time of its newest sample, in Unix milliseconds
	Samples    int    // number of samples without native histograms
	Histograms int    // number of native histograms
	Exemplars  int
	Bytes      int // length of the payload; set by Put
}

// The format of the queue on disk: the name of a file describes the record,
//
//	0000000000000007.s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764.rec
//
// and the file has a line of text, the payload, and the CRC-32C (Castagnoli, big-endian) of both. The line consists of the format's
// name, the version, and the file name without the ID and the suffix:
//
//	cton-spool 1 s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764
//
// The rules for files of later versions are: the name must also end in .rec, and it must start with the ID if the record has one. The
// content must begin with the same word and the version's number. So earlier versions of the program recognize such files. The folder
// testdata contains records of each version. All later versions of the program must read them.
const (
	suffix  = ".rec"
	letters = "sptonvheb" // the first letter of each field
	magic   = "cton-spool "
	version = 1

	zeros = "0000000000000000"
	maxID = 1e16 // IDs are smaller, so that names sort in the order of IDs

	maxPayload = 1 << 30 // largest length of a payload in bytes
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
	later, _ := inspect(fsys, name) // if the file cannot be read, the result is nil
	return later
}

// inspect reads the version of a file. The result "later" is nil if the file has the current version, or an earlier one.
func inspect(fsys durable.FS, name string) (later *VersionError, err error) {
	text, err := fsys.ReadFile(name, int64(len(magic)+10))
	if v := versionOf(text); err == nil && v > version {
		return &VersionError{v}, nil
	}
	return nil, err
}

// versionOf returns the version in the first line of a file, or 0 if there is none.
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

// maxName is the size of a buffer that is large enough for most names of files, and for most first lines of files.
const maxName = 160

// fields returns the numbers that appendLabel writes, in the order of the constant "letters".
func (m *Meta) fields() [len(letters)]int64 {
	return [...]int64{
		int64(m.Shard), int64(m.Protocol), m.Taken, m.Oldest, m.Newest,
		int64(m.Samples), int64(m.Histograms), int64(m.Exemplars), int64(m.Bytes),
	}
}

// appendLabel appends all fields of m except the ID, each as a letter and a number.
func (m *Meta) appendLabel(text []byte) []byte {
	for i, n := range m.fields() {
		if i > 0 {
			text = append(text, '.')
		}
		text = strconv.AppendInt(append(text, letters[i]), n, 10)
	}
	return text
}

// name returns the name of the record's file.
func (m *Meta) name() string { return string(m.appendName(make([]byte, 0, maxName))) }

// appendName appends the name of the record's file.
func (m *Meta) appendName(text []byte) []byte {
	var digits [20]byte
	id := strconv.AppendUint(digits[:0], m.ID, 10)
	text = append(append(append(text, zeros[min(len(zeros), len(id)):]...), id...), '.')
	return append(m.appendLabel(text), suffix...)
}

// parseName parses the name of a file. It reports whether the name is valid. A name is valid if m.name returns exactly this name.
func parseName(name []byte) (m Meta, ok bool) {
	label, ok := bytes.CutSuffix(name, []byte(suffix))
	if !ok || len(label) <= len(zeros) || label[len(zeros)] != '.' {
		return Meta{}, false
	}
	for _, c := range label[:len(zeros)] {
		if c < '0' || c > '9' {
			return Meta{}, false
		}
		m.ID = m.ID*10 + uint64(c-'0')
	}
	label = label[len(zeros):]
	var fields [len(letters)]int64
	for i := range fields {
		if len(label) < 2 || label[0] != '.' || label[1] != letters[i] {
			return Meta{}, false
		}
		var size int
		if fields[i], size = parseNumber(label[2:]); size == 0 {
			return Meta{}, false
		}
		label = label[2+size:]
	}
	for _, i := range [...]int{0, 1, 5, 6, 7, 8} { // all fields except the times
		if fields[i] < 0 || fields[i] > maxPayload {
			return Meta{}, false
		}
	}
	if len(label) > 0 || m.ID == 0 {
		return Meta{}, false
	}
	m.Shard, m.Protocol = int(fields[0]), int(fields[1])
	m.Taken, m.Oldest, m.Newest = fields[2], fields[3], fields[4]
	m.Samples, m.Histograms, m.Exemplars, m.Bytes = int(fields[5]), int(fields[6]), int(fields[7]), int(fields[8])
	return m, true
}

// parseNumber parses the number at the beginning of text. The result "size" is the length of the number. It is 0 if there is no number, or
// if strconv.AppendInt would write the number in another way.
func parseNumber(text []byte) (n int64, size int) {
	sign, limit := int64(1), uint64(math.MaxInt64)
	if len(text) > 0 && text[0] == '-' {
		sign, limit, size = -1, limit+1, 1
	}
	first, sum := size, uint64(0)
	for size < len(text) && text[size] >= '0' && text[size] <= '9' {
		digit := uint64(text[size] - '0')
		if sum > (limit-digit)/10 {
			return 0, 0
		}
		sum = sum*10 + digit
		size++
	}
	if size == first || text[first] == '0' && (size > first+1 || sign < 0) {
		return 0, 0
	}
	return sign * int64(sum), size
}

// header returns the first line of the record's file.
func (m *Meta) header() string { return string(m.appendHeader(make([]byte, 0, maxName))) }

// appendHeader appends the first line of the record's file.
func (m *Meta) appendHeader(text []byte) []byte {
	text = append(strconv.AppendInt(append(text, magic...), version, 10), ' ')
	return append(m.appendLabel(text), '\n')
}

// size returns the length of the record's file, in bytes.
func (m *Meta) size() int {
	size := len(magic) + numberSize(version) + len(" ")
	for _, n := range m.fields() {
		size += len("s") + numberSize(n) + len(".") // or the end of the line in place of the dot
	}
	return size + m.Bytes + crc32.Size
}

// numberSize returns the length of a number as strconv.AppendInt writes it.
func numberSize(n int64) int {
	size, rest := 1, uint64(n)
	if n < 0 {
		size, rest = 2, -rest
	}
	for limit := uint64(10); rest >= limit; limit *= 10 { // ends before limit overflows, since rest is at most 1<<63
		size++
	}
	return size
}

// encode returns the content of the record's file.
func (r *Record) encode() []byte {
	file := slices.Concat([]byte(r.header()), r.Payload, make([]byte, crc32.Size))
	body := len(file) - crc32.Size
	binary.BigEndian.PutUint32(file[body:], durable.Checksum(file[:body]))
	return file
}

// decode returns the payload from the content of m's file. Callers put the name of the file before the text of an error, as in "x.rec is
// empty".
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
