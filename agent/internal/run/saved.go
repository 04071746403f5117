package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
)

// Saved is the state of a job in the state file. Each record has a header, followed by the changes of the ledger since the
// previous record.
type Saved struct {
	LastSuccess time.Time
	Cursor      time.Time // end of the last window that was read; zero = LastSuccess
	Fetches     string    // digest of Job.Fetches; Fetches itself is not stored, because it can contain secrets

	// Delivered reports that the sinks have taken everything up to this record, because the agent was shut down in an
	// orderly way.
	Delivered bool

	// Exported reports that another agent has continued since the last run: the state was exported, or the other agent has had the lease. If
	// the job runs here again, it starts without state.
	Exported bool

	old     bool     // the last record is of version 1, which did not write the record before it delivered the batch
	records [][]byte // records of the ledger
}

// headerMark is the first byte of a header. In an earlier version, a line of JSON was there instead.
const headerMark = 1

const (
	flagCursor    = 1 << 0
	flagDelivered = 1 << 1
	flagExported  = 1 << 2
)

// digestSize is the size of a digest in bytes.
const digestSize = 8

// header appends the header of a record.
func (s *Saved) header(b []byte) []byte {
	flags := byte(0)
	if !s.Cursor.IsZero() {
		flags |= flagCursor
	}
	if s.Delivered {
		flags |= flagDelivered
	}
	if s.Exported {
		flags |= flagExported
	}
	fetches, _ := hex.DecodeString(s.Fetches)
	b = append(append(b, headerMark, flags), fetches...)
	b = binary.AppendVarint(b, nanoseconds(s.LastSuccess))
	if flags&flagCursor != 0 {
		b = binary.AppendVarint(b, nanoseconds(s.Cursor))
	}
	return b
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanoseconds(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// ReadSaved reads the records of a job.
func ReadSaved(records [][]byte) (*Saved, error) {
	s := &Saved{}
	for i, record := range records {
		if err := s.read(record); err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i+1, len(records), err)
		}
	}
	return s, nil
}

func (s *Saved) read(record []byte) error {
	if len(record) > 0 && record[0] == '{' {
		return s.readVersion1(record)
	}
	if len(record) < 2+digestSize || record[0] != headerMark {
		return errors.New("it has no header")
	}
	flags := record[1]
	*s = Saved{
		Fetches: hex.EncodeToString(record[2 : 2+digestSize]), Delivered: flags&flagDelivered != 0, Exported: flags&flagExported != 0, records: s.records,
	}
	rest := record[2+digestSize:]
	for _, t := range []*time.Time{&s.LastSuccess, &s.Cursor} {
		if t == &s.Cursor && flags&flagCursor == 0 {
			continue
		}
		ns, n := binary.Varint(rest)
		if n <= 0 {
			return errors.New("its header is cut short")
		}
		*t, rest = fromNanoseconds(ns), rest[n:]
	}
	s.records = append(s.records, rest)
	return nil
}

func (s *Saved) readVersion1(record []byte) error {
	line, snapshot, found := bytes.Cut(record, []byte("\n"))
	if !found {
		return errors.New("it has no first line")
	}
	var old struct {
		LastSuccess time.Time `json:"last_success"`
		Cursor      time.Time `json:"cursor"`
		Fetches     string    `json:"fetches"`
		Whole       bool      `json:"whole"`
	}
	if err := json.Unmarshal(line, &old); err != nil {
		return fmt.Errorf("its first line: %w", err)
	}
	*s = Saved{LastSuccess: old.LastSuccess, Cursor: old.Cursor, Fetches: old.Fetches, Delivered: old.Whole, old: true, records: [][]byte{snapshot}}
	return nil
}

// Prefixes of the names of sinks, logins, shards, leases and own counters of jobs in the state file. They begin with a zero byte, which no
// name of a job has.
const (
	sinkPrefix  = "\x00sinks/"
	loginPrefix = "\x00logins/"
	shardPrefix = "\x00shards/"
	leasePrefix = "\x00leases/"
	jobsPrefix  = "\x00lease-jobs/" // the shard whose jobs run under a lease
	trialName   = "\x00trial"
	ownPrefix   = "\x00own/"
)

// IsJob reports whether a name in the state file is the name of a job. Only the records of jobs may be shown, because the records of
// logins are secret.
func IsJob(name string) bool { return !strings.HasPrefix(name, "\x00") }

// SinkMemory implements sinks.Memory. It keeps the data in the state file.
type SinkMemory struct {
	Sink string
	File func() *state.File // returns nil if there is no state file
}

// Load returns the data that was stored last, or nil.
func (m SinkMemory) Load() []byte {
	file := m.File()
	if file == nil {
		return nil
	}
	records, err := file.Records(sinkPrefix + m.Sink)
	if err != nil {
		file.Log.Warn("what the sink has stored in the state file is not known", "sink", m.Sink, "error", err)
	}
	if len(records) == 0 {
		return nil
	}
	return records[len(records)-1]
}

// Store appends data to the records of the sink in the state file.
func (m SinkMemory) Store(data []byte) {
	if file := m.File(); file != nil {
		file.AppendLazily(sinkPrefix+m.Sink, data)
	}
}

// LoginMemory implements httpclient.TokenMemory. It keeps the token in the state file.
type LoginMemory struct {
	loaded bool // data was loaded, and is not loaded again: no other process changes it, or the memory is for one server
	data   []byte
	saved  time.Time // when data was stored, in a memory that At has returned

	Login    string                          // name of the login, and which of its tokens the memory keeps
	Settings string                          // settings of the login; data that was stored with other settings is not loaded
	File     func() *state.File              // returns nil if there is no state file, or if it is not open
	Saved    func() map[string]state.Section // reads a state file that is not open; nil = there is no state file

	ofServers map[string]state.Record // records of single servers, by name, as read by the first call of At; a record that At has used is removed
	isServer  bool                    // the memory is for one server; no lock is needed, because another process can log in there too
}

// At implements httpclient.TokenMemory. The records of all servers are read once.
func (m *LoginMemory) At(server string) httpclient.TokenMemory {
	switch file := m.File(); {
	case m.ofServers != nil:
	case file != nil:
		var err error
		if m.ofServers, err = file.LatestOf(m.name() + "/"); err != nil {
			file.Log.Error("the tokens that the login has stored in the state file are not known", "login", m.Login, "error", err)
		}
	case m.Saved != nil:
		m.ofServers = state.NewestOf(m.Saved(), m.name()+"/")
	}
	at := &LoginMemory{Login: m.Login + "/" + server, Settings: m.Settings, File: m.File, Saved: m.Saved, isServer: true, loaded: true}
	record := m.ofServers[at.name()]
	if data, same := bytes.CutPrefix(record.Data, at.mark()); same {
		at.data, at.saved = data, record.Saved
	}
	at.Used()
	delete(m.ofServers, at.name())
	return at
}

// Used implements httpclient.TokenMemory. It stores the token of one of several servers again after serverRenewed.
func (m *LoginMemory) Used() {
	if !m.isServer || len(m.data) == 0 || time.Since(m.saved) <= serverRenewed {
		return
	}
	if file := m.File(); file != nil {
		m.saved = time.Now()
		file.AppendLazily(m.name(), append(m.mark(), m.data...))
	}
}

// A token of a login at one of several servers is written again if it is used after serverRenewed, and forgotten after serverKept without a
// write. Otherwise the state file would for ever keep the tokens of servers that have left a list while no process was running.
const (
	serverRenewed = 30 * 24 * time.Hour
	serverKept    = 90 * 24 * time.Hour
)

// ForgetServers removes tokens from a state file that was just read: those of servers that no process has used for a long time. It
// leaves the tokens of logins that have one server: such a token can be a refresh token, which only a user can replace. It writes only if
// the condition "when" holds.
func ForgetServers(file *state.File, when state.Condition) {
	for name, record := range file.NewestRead(loginPrefix) {
		if isServer := strings.Contains(name, "://"); isServer && time.Since(record.Saved) > serverKept && !isForgotten(record.Data) {
			file.AppendIf(when, name, []byte("\n"))
		}
	}
}

// isForgotten reports whether the record of a login has only the mark.
func isForgotten(record []byte) bool { return bytes.IndexByte(record, '\n') == len(record)-1 }

// storeTimeout is how long Store waits for the disk.
const storeTimeout = 5 * time.Second

var errNotOpen = errors.New("the token is kept in the state file, which only cton run and cton once write: run one of them first")

func (m *LoginMemory) name() string { return loginPrefix + m.Login }

// Load returns what was stored last, or nil.
func (m *LoginMemory) Load() []byte {
	if m.loaded {
		return m.data
	}
	file := m.File()
	data := m.read(file)
	if file != nil && !file.Shared {
		m.loaded, m.data = true, data
	}
	return data
}

func (m *LoginMemory) read(file *state.File) []byte {
	var records [][]byte
	switch {
	case file != nil:
		var err error
		if records, err = file.Latest(m.name()); err != nil {
			file.Log.Error("the token that the login has stored in the state file is not known", "login", m.Login, "error", err)
		}
	case m.Saved != nil:
		records = m.Saved()[m.name()].Records
	}
	if len(records) == 0 {
		return nil
	}
	data, same := bytes.CutPrefix(records[len(records)-1], m.mark())
	if !same {
		return nil
	}
	return data
}

// mark begins each record.
func (m *LoginMemory) mark() []byte { return []byte(digest(m.Settings) + "\n") }

// Store replaces what is stored. The result "kept" is true if the new data is on disk. If there is no state file, "kept" is false and
// there is no error.
func (m *LoginMemory) Store(data []byte) (kept bool, err error) {
	file := m.File()
	if file == nil {
		return false, m.Ready()
	}
	if !file.Shared || m.isServer {
		m.loaded, m.data, m.saved = true, data, time.Now()
	}
	written := file.Append(m.name(), append(m.mark(), data...))
	select {
	case <-written.Done():
		return true, nil
	case <-time.After(storeTimeout):
		return false, fmt.Errorf("the state file cannot be written: %s", file.Status().Error)
	}
}

// Ready returns the reason why the state file cannot be written. It returns nil if the file can be written, or if there is none.
func (m *LoginMemory) Ready() error {
	switch file := m.File(); {
	case file == nil && m.Saved == nil:
		return nil
	case file == nil:
		return errNotOpen
	case file.Status().Error != "":
		return errors.New(file.Status().Error)
	}
	return nil
}

// Lock locks the login, and waits while another process that shares the state file is logging in. If the login cannot be locked for
// another reason, such as a read-only disk, Lock returns no error. The result "shared" is true if other processes can use the login too.
// The caller calls Ready before it uses a token that is valid only once.
func (m *LoginMemory) Lock(ctx context.Context) (unlock func(), shared bool, err error) {
	file := m.File()
	if file == nil || !file.Shared || m.isServer {
		return func() {}, false, nil
	}
	unlock, err = file.LockLogin(ctx, m.Login)
	if err != nil && !state.IsHeld(err) {
		unlock, err = func() {}, nil
	}
	return unlock, true, err
}

// StoreShard records in a state file that a shard uses the file.
func StoreShard(file *state.File, s shard.Shard) {
	file.AppendLazily(shardPrefix+strconv.Itoa(s.Index), []byte(s.String()))
}

// LoadShard returns the shard that has used a state file most recently among the shards with the same index as s. Its count can differ from
// the count of s. LoadShard returns the zero value if no shard with this index has used the file.
func LoadShard(file *state.File, s shard.Shard) (shard.Shard, error) {
	records, err := file.Records(shardPrefix + strconv.Itoa(s.Index))
	if len(records) == 0 || err != nil {
		return shard.Shard{}, err
	}
	return shard.Parse(string(records[len(records)-1]), "")
}

// StoreTerm records in a state file that the jobs of a lease run in the given term, and that they use the file. The jobs of a lease are the
// jobs of a shard, or all jobs. StoreTerm writes only if the condition "when" holds.
func StoreTerm(file *state.File, when state.Condition, lease, term string, of shard.Shard) *state.Write {
	file.AppendIf(when, jobsPrefix+lease, []byte(of.String()))
	return file.AppendIf(when, leasePrefix+lease, []byte(term))
}

// AwaitTerm waits for the last write of StoreTerm. It returns an error if the write has failed and will be tried again, or if the disk hangs.
func AwaitTerm(file *state.File, lease string) error {
	file.Flush()
	return file.Written(leasePrefix + lease)
}

// StoreTrial writes a record without a meaning, to see whether the state file can be written.
func StoreTrial(file *state.File) *state.Write { return file.Append(trialName, nil) }

// LoadTerm returns the newest term of a lease in which jobs have used a state file, or "" if there is none.
func LoadTerm(file *state.File, lease string) (string, error) {
	records, err := file.Records(leasePrefix + lease)
	if len(records) == 0 || err != nil {
		return "", err
	}
	return string(records[len(records)-1]), nil
}

// OtherLeases returns the names of other leases under which jobs of the same shard have used a state file since the last term of this
// lease. Two leases must not share a state file: each would mistake the jobs of the other for its own, and mark their state as old (see
// Outdate). It returns nothing after state.File.Loaded.
func OtherLeases(file *state.File, lease string, of shard.Shard) (others []string) {
	terms, shards := file.NewestRead(leasePrefix), file.NewestRead(jobsPrefix)
	own := terms[leasePrefix+lease].Saved
	for name, term := range terms {
		other := strings.TrimPrefix(name, leasePrefix)
		theirs, known := shards[jobsPrefix+other]
		apart := of.Count > 0 && (!known || len(theirs.Data) > 0 && string(theirs.Data) != of.String())
		if other != lease && term.Saved.After(own) && !apart {
			others = append(others, other)
		}
	}
	slices.Sort(others)
	return others
}

// Outdate marks the saved state of all jobs of a shard as continued elsewhere. This includes jobs that the configuration does not have now.
// When the jobs run here again, they start without state. Outdate returns the names of the jobs that had state. It writes only if the
// condition "when" holds.
func Outdate(file *state.File, when state.Condition, of shard.Shard) (had []string, err error) {
	names, err := file.Names()
	if err != nil {
		return nil, err
	}
	for _, job := range names {
		if !IsJob(job) || !of.Has(job) {
			continue
		}
		records, err := file.Records(job)
		if err != nil {
			return had, err
		}
		if records == nil {
			continue
		}
		s, err := ReadSaved(records)
		if err != nil || s.Exported {
			continue // no process uses this state
		}
		_, here, err := s.Moved()
		if err != nil {
			continue // no process can use this state
		}
		file.AppendIf(when, job, here)
		had = append(had, job)
	}
	return had, nil
}

// FoldSaved combines several records of a name into one record. It is the function Fold in the options of the state file.
func FoldSaved(name string, records [][]byte) ([]byte, error) {
	if !IsJob(name) {
		last := records[len(records)-1]
		if strings.HasPrefix(name, loginPrefix) && isForgotten(last) {
			return nil, nil
		}
		if strings.HasPrefix(name, ownPrefix) && len(last) == 0 {
			return nil, nil // cton run has begun other counters
		}
		return last, nil
	}
	s, err := ReadSaved(records)
	if err != nil {
		return nil, err
	}
	return s.record()
}

// record returns one record with the whole state.
func (s *Saved) record() ([]byte, error) {
	folded, err := ledger.Fold(s.records)
	if err != nil {
		return nil, err
	}
	return append(s.header(nil), folded...), nil
}

// Moved returns two records with the whole state. The result called "there" is for another state file. The result called "here" is for
// this file and is marked as exported. In its file, each of the two records replaces all earlier records of the job.
func (s *Saved) Moved() (there, here []byte, err error) {
	moved := *s
	moved.Exported = false
	if there, err = moved.record(); err != nil {
		return nil, nil, err
	}
	moved.Exported = true
	here, err = moved.record()
	return there, here, err
}

// IsOf reports whether the state belongs to a job that fetches the same data as the job j.
func (s *Saved) IsOf(j *config.Job) bool { return s.Fetches == digest(j.Fetches) }

// Ledger returns the saved ledger, for reading only.
func (s *Saved) Ledger() (*ledger.Ledger, error) {
	l := ledger.New(ledger.For(0), 0)
	return l, l.Restore(s.records...)
}

// Restore loads the saved state into a new worker. The argument "now" is the earliest time of the worker's next tick. If the job fetches
// something different from when the state was saved, only LastSuccess and Cursor are loaded.
func (s *Saved) Restore(w *Worker, now time.Time) error {
	if s.Fetches == digest(w.Fetches) {
		if err := w.Ledger.Restore(s.records...); err != nil {
			return err
		}
	}
	w.LastSuccess, w.Cursor = s.LastSuccess.Local(), s.Cursor.Local()
	if s.LastSuccess.After(now) {
		w.LastSuccess = now // the clock was set back
	}
	if s.Cursor.IsZero() || w.Windows == nil && s.Cursor.After(now) {
		w.Cursor = w.LastSuccess
	}
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:digestSize])
}
