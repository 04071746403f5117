package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// A snapshot has two lines of text, followed by the sections:
//
//	cton state 2 5e3c41d2                                            the version, and the checksum of the second line
//	{"journal":7,"jobs":[{"name":"oncall","saved":"…","bytes":812,"crc":"…","records":[812]}]}   the index
//	…
//
// A section contains the records of one name, one after the other. The sections contain the records of all journals before the one with the
// number "journal". Version 1 had no journals, and each of its sections had one record.
//
// Checksums are CRC-32C (Castagnoli) in hexadecimal digits. Files of later versions must begin with the same words and their
// version, so that earlier programs can recognize them. testdata has a file of each version, which every later program must
// read.
const (
	magic   = "cton state "
	version = 2
)

// VersionError is the error for a file whose format has a later version than this program can read.
type VersionError struct {
	Version int
	Newest  int // the latest version that this program can read
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("it has version %d of the format, and this cton reads versions up to %d: start the later cton that wrote it, "+
		"or move the file away to start all jobs without state", e.Version, e.Newest)
}

// maxFile is the maximum size of a file, in bytes.
const maxFile = 1 << 30

// index is the second line of a snapshot.
type index struct {
	Journal uint64       `json:"journal,omitempty"`
	Jobs    []indexEntry `json:"jobs"`
}

type indexEntry struct {
	Name    string    `json:"name"`
	Saved   time.Time `json:"saved"`
	Bytes   int       `json:"bytes"`
	CRC     string    `json:"crc"`
	Records []int     `json:"records,omitempty"` // sizes of the records; empty = one record
}

// Section contains the records of one name.
type Section struct {
	Saved   time.Time
	Records [][]byte // oldest first
}

func (s *Section) size() (n int) {
	for _, r := range s.Records {
		n += len(r)
	}
	return n
}

// snapshot is the content of a snapshot file.
type snapshot struct {
	version  int    // version of the format
	missing  bool   // there is no file
	size     int    // size of the file in bytes
	journal  uint64 // number of the first journal that is not in the sections
	sections map[string]Section
	damage   map[string]error // by name: errors in sections that cannot be used
}

// add adds a record of a journal to the section that has the same name as the record.
func (s *snapshot) add(e entry) {
	section := s.sections[e.name]
	s.sections[e.name] = Section{e.saved, append(section.Records, e.data)}
}

func checksum(data ...[]byte) string { return fmt.Sprintf("%08x", durable.Checksum(data...)) }

// parse returns the content of a snapshot file. It returns an error if the file as a whole cannot be used.
func parse(text []byte) (*snapshot, error) {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok {
		return nil, errors.New("it is not a state file of cton")
	}
	first, rest, _ := bytes.Cut(rest, []byte("\n"))
	number, crc, found := strings.Cut(string(first), " ")
	v, err := strconv.Atoi(number)
	if err == nil && v > version && found { // without a second field, the line is damaged
		return nil, &VersionError{v, version}
	}
	line, rest, whole := bytes.Cut(rest, []byte("\n"))
	if err != nil || v < 1 || number != strconv.Itoa(v) || !whole || checksum(line) != crc {
		return nil, errors.New("its beginning is damaged")
	}
	var x index
	if err := json.Unmarshal(line, &x); err != nil {
		return nil, fmt.Errorf("its index is damaged: %w", err)
	}
	s := &snapshot{version: v, size: len(text), journal: x.Journal, sections: map[string]Section{}, damage: map[string]error{}}
	for _, e := range x.Jobs {
		data := rest[:min(max(e.Bytes, 0), len(rest))]
		rest = rest[len(data):]
		switch {
		case len(data) != e.Bytes:
			s.damage[e.Name] = errors.New("the file is cut short")
		case checksum(data) != e.CRC:
			s.damage[e.Name] = errors.New("the checksum does not match")
		default:
			records, err := e.split(data)
			if err != nil {
				s.damage[e.Name] = err
				continue
			}
			s.sections[e.Name] = Section{e.Saved, records}
		}
	}
	return s, nil
}

// split splits the data of a section into its records.
func (e *indexEntry) split(data []byte) (records [][]byte, err error) {
	if len(e.Records) == 0 {
		return [][]byte{data}, nil
	}
	for _, n := range e.Records {
		if n < 0 || n > len(data) {
			return nil, errors.New("its records are longer than the section")
		}
		records = append(records, data[:n:n])
		data = data[n:]
	}
	return records, nil
}

// readSnapshot reads a snapshot file. If the file is missing, it returns a snapshot without sections.
func readSnapshot(fsys durable.FS, name string) (*snapshot, error) {
	text, err := fsys.ReadFile(name, maxFile+1)
	if isNotExist(err) {
		return &snapshot{missing: true, sections: map[string]Section{}}, nil
	}
	if err != nil {
		return nil, &readError{err}
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return parse(text)
}

// readError is the error for a file that could not be read. Its content can be correct nevertheless.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// writeSnapshot replaces a snapshot file. It returns the size of the new file.
func writeSnapshot(fsys durable.FS, name string, journal uint64, sections map[string]Section) (size int, err error) {
	parts, size, err := encode(journal, sections)
	if err != nil {
		return 0, err
	}
	return size, durable.Replace(fsys, name, func(w io.Writer) error {
		for _, part := range parts {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
}

// Encode returns sections in the format of a snapshot file, which Decode reads.
func Encode(sections map[string]Section) ([]byte, error) {
	parts, _, err := encode(0, sections)
	return bytes.Join(parts, nil), err
}

// Decode returns the sections that Encode has encoded. If a section is damaged, it returns an error.
func Decode(text []byte) (map[string]Section, error) {
	s, err := parse(text)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(s.damage)) {
		return nil, fmt.Errorf("the state of job %s: %w", name, s.damage[name])
	}
	if s.journal > 0 {
		return nil, errors.New("it is a state file, not an export: run cton state export JOB > FILE, and import FILE")
	}
	return s.sections, nil
}

// encode returns the parts of a snapshot file, and their size.
func encode(journal uint64, sections map[string]Section) (parts [][]byte, size int, err error) {
	x := index{Journal: journal, Jobs: []indexEntry{}}
	names := slices.Sorted(maps.Keys(sections))
	for _, job := range names {
		s := sections[job]
		e := indexEntry{Name: job, Saved: s.Saved, Bytes: s.size(), CRC: checksum(s.Records...)}
		for _, r := range s.Records {
			e.Records = append(e.Records, len(r))
		}
		x.Jobs = append(x.Jobs, e)
		size += e.Bytes
	}
	line, err := json.Marshal(x)
	if err != nil {
		return nil, 0, err
	}
	parts = append(parts, fmt.Appendf(nil, "%s%d %s\n%s\n", magic, version, checksum(line), line))
	if size += len(parts[0]); size > maxFile {
		return nil, 0, fmt.Errorf("the state of all jobs would have %d bytes, more than the %d of a state file: lower remember, or the number of series, of the jobs that keep most", size, maxFile)
	}
	for _, job := range names {
		parts = append(parts, sections[job].Records...)
	}
	return parts, size, nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// A journal is a line of text and batches of records:
//
//	cton journal 1 7            the version, and the journal's number
//	mark size crc payload       for each batch
//
// The mark is four fixed bytes. They are used to find the next batch after a damaged batch. Size and checksum are those of
// the payload, four bytes each, little-endian. The payload has for each record the name, the time in Unix milliseconds and
// the data. The name and the data each follow their length, and numbers are varints.
//
// A batch is synced before the next batch is written. So only the last batch can be incomplete, if the process ended while
// it was being written. Any other batch that is incomplete is damaged.
const (
	journalMagic   = "cton journal "
	journalVersion = 1
	batchMark      = "\xc7\x0aJb"
	batchHead      = len(batchMark) + 8
)

// entry is a record in a journal and its name.
type entry struct {
	name  string
	saved time.Time
	data  []byte
}

func journalHead(number uint64) []byte {
	return fmt.Appendf(nil, "%s%d %d\n", journalMagic, journalVersion, number)
}

// appendBatch appends a batch with the records to b, in the format of a journal.
func appendBatch(b []byte, entries []entry) []byte {
	b = append(b, batchMark...)
	head := len(b)
	b = append(b, make([]byte, 8)...)
	for _, e := range entries {
		b = append(binary.AppendUvarint(b, uint64(len(e.name))), e.name...)
		b = binary.AppendVarint(b, e.saved.UnixMilli())
		b = append(binary.AppendUvarint(b, uint64(len(e.data))), e.data...)
	}
	payload := b[head+8:]
	binary.LittleEndian.PutUint32(b[head:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[head+4:], durable.Checksum(payload))
	return b
}

// parseJournal returns the records of a journal, the size of the journal up to the end of its last complete batch, and the
// number of damaged bytes within that size.
func parseJournal(text []byte, number uint64) (entries []entry, whole, damaged int, err error) {
	line, _, found := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(line[:min(len(line), 100)]))
	if found && len(words) == 4 && strings.HasPrefix(string(line), journalMagic) {
		if v, err := strconv.Atoi(words[2]); err == nil && v > journalVersion {
			return nil, 0, 0, &VersionError{v, journalVersion}
		}
	}
	head := journalHead(number)
	inHead := 0 // damaged bytes before the first batch
	if bytes.HasPrefix(text, head) {
		whole = len(head)
	}
	batches := 0
	for at := whole; at < len(text); {
		if batch, n := parseBatch(text[at:]); n > 0 {
			if batches == 0 && whole == 0 && at == len(head) {
				inHead = at
			} else {
				damaged += at - whole
			}
			batches++
			entries = append(entries, batch...)
			at += n
			whole = at
			continue
		}
		next := bytes.Index(text[at+1:], []byte(batchMark))
		if next < 0 {
			break
		}
		at += 1 + next
	}
	if batches > 1 { // otherwise the first line is perhaps incomplete, because it was written together with the only batch
		damaged += inHead
	}
	return entries, whole, damaged, nil
}

// parseBatch returns the records and the size of the batch at the beginning of text. The size is 0 if there is no complete
// batch.
func parseBatch(text []byte) (entries []entry, size int) {
	if len(text) < batchHead || string(text[:len(batchMark)]) != batchMark {
		return nil, 0
	}
	n := binary.LittleEndian.Uint32(text[len(batchMark):])
	if uint64(n) > uint64(len(text)-batchHead) {
		return nil, 0
	}
	payload := text[batchHead : batchHead+int(n)]
	if durable.Checksum(payload) != binary.LittleEndian.Uint32(text[len(batchMark)+4:]) {
		return nil, 0
	}
	for rest := payload; len(rest) > 0; {
		name, after, ok := cutBytes(rest)
		at, used := binary.Varint(after)
		if !ok || used <= 0 {
			return nil, 0
		}
		var data []byte
		if data, rest, ok = cutBytes(after[used:]); !ok {
			return nil, 0
		}
		entries = append(entries, entry{string(name), time.UnixMilli(at).UTC(), data})
	}
	return entries, batchHead + int(n)
}

// cutBytes reads a length and that number of bytes from the beginning of b. It returns these bytes and the remaining bytes.
func cutBytes(b []byte) (first, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	b = b[used:]
	return b[:n:n], b[n:], true
}
