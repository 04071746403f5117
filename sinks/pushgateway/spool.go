package pushgateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// spool keeps the newest push of each group on disk until it is delivered, in one file for each group. Several processes may use the
// directory at the same time, since each call locks the directory. A spool is safe for concurrent use.
type spool struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	waiting map[string]int   // number of samples by file
	fault   sinks.SpoolFault // why the last put did not write to disk
}

// push is one push of a group.
type push struct {
	Job      string         `json:"job"`
	Group    []metric.Label `json:"group"`   // labels of the group in addition to job
	Partial  bool           `json:"partial"` // metrics of the group that are not in the push are kept
	Series   int            `json:"series"`
	families []*dto.MetricFamily
}

const (
	lockFile  = "lock"
	suffix    = ".push"
	maxGroups = 10_000
	maxPush   = 256 << 20       // largest size of a file in bytes
	lockWait  = 2 * time.Second // how long a call waits for the lock
)

func newSpool(path string, log *slog.Logger) *spool {
	return &spool{path: path, log: log, waiting: map[string]int{}}
}

// name returns the name of the group's file.
func (p *push) name() string {
	text := new(bytes.Buffer)
	for _, l := range append([]metric.Label{{Name: "job", Value: p.Job}}, p.Group...) {
		fmt.Fprintf(text, "%q=%q,", l.Name, l.Value)
	}
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:16]) + suffix
}

// put stores a push. If the push is partial and the spool already has a push of its group, put adds the new push to the one in the spool,
// and returns the result.
func (s *spool) put(p *push) (*push, error) {
	all, err := s.store(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.fault = sinks.SpoolFault{}
	case s.fault.Since.IsZero():
		s.fault.Since = time.Now()
		fallthrough
	default:
		s.fault.Why = err.Error()
	}
	return all, err
}

// faulty returns why the last push is not on disk.
func (s *spool) faulty() sinks.SpoolFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// store does the work of put, but does not set the field "fault".
func (s *spool) store(p *push) (*push, error) {
	dir, err := s.open()
	if err != nil {
		return p, err
	}
	defer s.close(dir)
	switch before, err := s.read(dir, p.name()); {
	case errors.Is(err, errLater):
		return p, err
	case err == nil && p.Partial:
		p = before.with(p)
	}
	if names, err := dir.ReadDir("."); err == nil && len(names) > maxGroups && !slices.Contains(names, p.name()) {
		return p, fmt.Errorf("spool %s: it is full with %d groups: check that the Pushgateway answers", s.path, maxGroups)
	}
	if err := durable.Replace(dir, p.name(), p.write); err != nil {
		return p, fmt.Errorf("spool %s: %w", s.path, err)
	}
	s.note(p.name(), p.Series)
	return p, nil
}

// with returns a copy of p that also has the families of a later push. The later families replace families of the same name.
func (p *push) with(later *push) *push {
	all := *p
	all.families = slices.DeleteFunc(slices.Clone(p.families), func(f *dto.MetricFamily) bool {
		return slices.ContainsFunc(later.families, func(l *dto.MetricFamily) bool { return l.GetName() == f.GetName() })
	})
	all.families = append(all.families, later.families...)
	all.Series = 0
	for _, f := range all.families {
		all.Series += len(f.Metric)
	}
	return &all
}

// done removes a push that was delivered or refused, unless a later push of the group has replaced it.
func (s *spool) done(p *push) error {
	dir, err := s.open()
	if err != nil {
		return err
	}
	defer s.close(dir)
	var ours bytes.Buffer
	if err := p.write(&ours); err != nil {
		return err
	}
	stored, err := dir.ReadFile(p.name(), maxPush)
	if err == nil && !bytes.Equal(stored, ours.Bytes()) {
		return nil
	}
	return s.remove(dir, p.name())
}

// drop removes the push of a group, even if another process has stored it.
func (s *spool) drop(p *push) error {
	dir, err := s.open()
	if err != nil {
		return err
	}
	defer s.close(dir)
	return s.remove(dir, p.name())
}

func (s *spool) remove(dir *durable.Dir, name string) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool %s: %w", s.path, err)
	}
	s.note(name, 0)
	return dir.SyncDir()
}

// list returns the names of the files in the spool.
func (s *spool) list() ([]string, error) {
	names, err := durable.NewDir(s.path).ReadDir(".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) }), err
}

// get returns the push in a file, or nil if the file no longer exists. It removes a damaged file and logs that.
func (s *spool) get(name string) (*push, error) {
	dir, err := s.open()
	if err != nil {
		return nil, err
	}
	defer s.close(dir)
	p, err := s.read(dir, name)
	switch {
	case errors.Is(err, errLater):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		s.note(name, 0)
		return nil, nil
	case errors.Is(err, errDamaged):
		s.log.Error("dropped a push from the spool", "file", name, "error", err)
		return nil, s.remove(dir, name)
	case err != nil:
		return nil, fmt.Errorf("spool %s: %w", s.path, err)
	}
	s.note(name, p.Series)
	return p, nil
}

// open locks the directory. It creates the directory if it does not exist.
func (s *spool) open() (*durable.Dir, error) {
	dir := durable.NewDir(s.path)
	if err := dir.Mkdir("."); err != nil {
		return nil, fmt.Errorf("spool %s: %w", s.path, err)
	}
	for deadline := time.Now().Add(lockWait); ; {
		err := dir.Lock(lockFile)
		switch _, held := errors.AsType[*durable.HeldError](err); {
		case err == nil, errors.Is(err, errors.ErrUnsupported):
			return dir, nil
		case !held || time.Now().After(deadline):
			return nil, fmt.Errorf("spool %s: %w", s.path, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *spool) close(dir *durable.Dir) { _ = dir.Unlock() } // if it fails, the lock ends with the process

// note keeps the number of samples in a file.
func (s *spool) note(name string, samples int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[name] = samples
	if samples == 0 {
		delete(s.waiting, name)
	}
}

// samples returns the number of samples in those files of the spool that this process knows about.
func (s *spool) samples() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for samples := range maps.Values(s.waiting) {
		n += int64(samples)
	}
	return n
}

// The format of a file: a line with the name of the format, the version, and the CRC-32C (Castagnoli) of the remaining lines; a
// line of JSON with the group; and the families as delimited messages of client_model.
const (
	magic   = "cton-push "
	version = 1
)

var (
	errDamaged = errors.New("the file is damaged")
	errLater   = errors.New("a later version of cton has written the file, so it stays: start that version to send it")
)

func (p *push) write(w io.Writer) error {
	head, err := json.Marshal(p)
	if err != nil {
		return err
	}
	text := bytes.NewBuffer(append(head, '\n'))
	deterministic := protodelim.MarshalOptions{MarshalOptions: proto.MarshalOptions{Deterministic: true}} // done compares files
	for _, f := range p.families {
		if _, err := deterministic.MarshalTo(text, f); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%s%d %08x\n%s", magic, version, durable.Checksum(text.Bytes()), text.Bytes())
	return err
}

func (s *spool) read(dir *durable.Dir, name string) (*push, error) {
	text, err := dir.ReadFile(name, maxPush)
	if err != nil {
		return nil, err
	}
	p, err := parsePush(text)
	if err == nil && p.name() != name {
		err = fmt.Errorf("%w: it is that of another group", errDamaged)
	}
	return p, err
}

// parsePush parses the content of a file.
func parsePush(text []byte) (*push, error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	v, sum := 0, uint32(0)
	if _, err := fmt.Sscanf(string(first), magic+"%d %08x", &v, &sum); err != nil {
		return nil, fmt.Errorf("%w: it is not a push", errDamaged)
	}
	if v > version {
		return nil, errLater
	}
	if durable.Checksum(rest) != sum {
		return nil, fmt.Errorf("%w: it does not match its checksum", errDamaged)
	}
	head, body, _ := bytes.Cut(rest, []byte("\n"))
	p := &push{}
	if err := json.Unmarshal(head, p); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	whole := protodelim.UnmarshalOptions{MaxSize: int64(len(body))} // no limit is needed, since the size of the file is limited
	for r := bytes.NewReader(body); r.Len() > 0; {
		f := &dto.MetricFamily{}
		if err := whole.UnmarshalFrom(r, f); err != nil {
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		p.families = append(p.families, f)
	}
	return p, nil
}
