package groups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/metric"
)

// Options are the settings of a store.
type Options struct {
	Dir        durable.FS    // nil = groups are only in memory
	Place      string        // the path of Dir, for errors
	AddUp      bool          // running totals are added up over several pushes
	TTL        time.Duration // how long after its last push a group is deleted; 0 = never
	DropLabels []string      // names of labels that are removed from groups and series
	Scheme     model.ValidationScheme
	MaxGroups  int
	MaxSeries  int
	MaxBytes   int64
	Log        *slog.Logger
	Now        func() time.Time
}

// Store keeps the groups. [Store.Run] checks pushes and writes them to disk one after another; pushes that wait are written
// together.
type Store struct {
	Options
	requests chan *request

	mu      sync.Mutex // guards the fields below
	groups  map[string]*Group
	version int
	broken  error // why the last write to disk has failed; nil if it has succeeded

	// Only Run uses the following fields.
	index   *index
	pending map[string]*Group // groups of the current batch that are not yet shown; nil = deleted
	suspect map[string]bool   // groups whose files may contain a state that is not shown, after a failed write
}

// request is a change of one group, or of all groups.
type request struct {
	labels  []metric.Label
	key     string
	pushed  []*dto.MetricFamily
	at      time.Time
	replace bool
	remove  bool
	all     bool // only if remove is set: remove all groups
	result  error
	done    chan struct{}
}

// Refusal is the error for a push whose contents are not accepted.
type Refusal struct{ error }

// FullError is the error for a push that would exceed a limit.
type FullError struct{ error }

// maxWaiting is the maximum number of waiting requests. The constant maxBatch is the maximum number of requests that are written to disk
// together.
const (
	maxWaiting = 1000
	maxBatch   = 100
)

// Open returns the store with the groups that are on disk. It locks the directory until Close is called. The result "problems" has an error
// for each file that was damaged and was renamed.
func Open(o Options) (s *Store, problems []error, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s = &Store{
		Options: o, requests: make(chan *request, maxWaiting), groups: map[string]*Group{},
		index: newIndex(), pending: map[string]*Group{}, suspect: map[string]bool{},
	}
	if o.Dir == nil {
		return s, nil, nil
	}
	loaded, problems, err := load(&o)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range loaded {
		s.index.replace(nil, g)
		s.groups[g.key] = g
		g.markShown()
	}
	return s, problems, nil
}

// Close unlocks the directory. The groups can still be read.
func (s *Store) Close() error {
	if s.Dir == nil {
		return nil
	}
	return s.Dir.Unlock()
}

// Groups returns the groups, sorted by their labels, and a number that changes when a group changes.
func (s *Store) Groups() (all []*Group, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	for _, g := range s.groups {
		if !s.isExpired(g, now) {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *Group) int { return strings.Compare(a.key, b.key) })
	return all, s.version
}

// Err returns the reason why the newest write to disk has failed, or nil if it has not failed.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Push changes a group. If "replace" is true, it removes the other metrics of the group. Push returns after the group is on disk. The error
// is a Refusal or a FullError, or it says why the disk cannot be written.
func (s *Store) Push(ctx context.Context, labels []metric.Label, pushed []*dto.MetricFamily, replace bool) error {
	return s.submit(ctx, &request{labels: labels, pushed: pushed, replace: replace})
}

// Delete deletes a group, if there is one.
func (s *Store) Delete(ctx context.Context, labels []metric.Label) error {
	return s.submit(ctx, &request{labels: labels, remove: true})
}

// Wipe deletes all groups.
func (s *Store) Wipe(ctx context.Context) error {
	return s.submit(ctx, &request{remove: true, all: true})
}

func (s *Store) submit(ctx context.Context, r *request) error {
	r.labels = slices.DeleteFunc(r.labels, func(l metric.Label) bool {
		return l.Name != model.JobLabel && slices.Contains(s.DropLabels, l.Name)
	})
	r.key, r.at, r.done = keyOf(r.labels), s.Now(), make(chan struct{})
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-r.done:
		return r.result
	case <-ctx.Done():
		return fmt.Errorf("it is not known whether the push was stored, so repeat it: %w", context.Cause(ctx))
	}
}

// Run carries out requests until ctx has ended and no request is waiting. It also deletes expired groups.
func (s *Store) Run(ctx context.Context) {
	ticker := time.NewTicker(s.pause())
	defer ticker.Stop()
	for {
		select {
		case r := <-s.requests:
			s.carryOut(s.waiting(r))
		case <-ticker.C:
			s.expire()
		case <-ctx.Done():
			select {
			case r := <-s.requests:
				s.carryOut(s.waiting(r))
			default:
				return
			}
		}
	}
}

// pause returns the time between two deletions of expired groups.
func (s *Store) pause() time.Duration {
	if s.TTL == 0 {
		return time.Hour
	}
	return max(min(s.TTL/10, time.Minute), time.Second)
}

// waiting returns a request and the requests that wait after it, at most maxBatch.
func (s *Store) waiting(r *request) []*request {
	batch := []*request{r}
	for len(batch) < maxBatch {
		select {
		case r := <-s.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// carryOut applies requests, writes the changed groups to disk, shows them, and then ends the requests. If the disk fails, no group
// is changed, and all requests fail.
func (s *Store) carryOut(batch []*request) {
	for _, r := range batch {
		r.result = s.apply(r)
	}
	err := s.write()
	for _, r := range batch {
		if err != nil {
			r.result = err
		}
		close(r.done)
	}
}

// lookup returns the newest state of a group, or nil if the group does not exist.
func (s *Store) lookup(key string) *Group {
	if g, found := s.pending[key]; found {
		return g
	}
	return s.groups[key] // not locked, since only Run changes the map
}

// put makes g the newest state of a group. If g is nil, the group is deleted.
func (s *Store) put(key string, g *Group) {
	s.index.replace(s.lookup(key), g)
	s.pending[key] = g
}

// count returns the number of groups, including the changes of the batch.
func (s *Store) count() int {
	n := len(s.groups)
	for key, g := range s.pending {
		_, shown := s.groups[key]
		switch {
		case g != nil && !shown:
			n++
		case g == nil && shown:
			n--
		}
	}
	return n
}

// apply changes the groups as the request says.
func (s *Store) apply(r *request) error {
	before := s.lookup(r.key)
	switch {
	case r.all:
		for key := range s.groups {
			s.put(key, nil)
		}
		for key := range s.pending {
			s.put(key, nil)
		}
		return nil
	case r.remove:
		if before != nil {
			s.put(r.key, nil)
		}
		return nil
	case before == nil && s.count() >= s.MaxGroups:
		return FullError{fmt.Errorf("there are %d groups, the most that max_groups allows", s.MaxGroups)}
	}
	if before != nil && s.isExpired(before, r.at) {
		s.put(r.key, nil)
		before = nil
	}
	g := copyOf(before, r.labels, r.key)
	next, err := s.next(before, g, r)
	if err == nil {
		s.put(r.key, next)
		return nil
	}
	if _, full := errors.AsType[FullError](err); full && before == nil {
		return err
	}
	g.Failed, g.Changed = r.at, r.at
	s.put(r.key, g)
	return err
}

// next returns the group after a push.
func (s *Store) next(before, g *Group, r *request) (*Group, error) {
	if hasTimestamps(r.pushed) {
		return nil, Refusal{errTimestamp}
	}
	c := converter{grouping: r.labels, drop: s.DropLabels, scheme: s.Scheme, at: r.at}
	families, err := c.families(r.pushed)
	if err != nil {
		return nil, Refusal{err}
	}
	next, err := g.pushed(families, r.replace, s.AddUp)
	if err == nil {
		err = s.index.check(before, next, s.lookup)
	}
	if err != nil {
		return nil, Refusal{err}
	}
	next.Pushed, next.Changed = r.at, r.at
	if n := s.index.total - before.series() + next.series(); n > s.MaxSeries {
		return nil, FullError{fmt.Errorf("all groups would have %d series, more than max_series of the job (%d)", n, s.MaxSeries)}
	}
	weight := s.index.bytes + next.bytes
	if before != nil {
		weight -= before.bytes
	}
	if weight > s.MaxBytes {
		return nil, FullError{fmt.Errorf("all groups would take %d bytes, more than max_bytes (%d)", weight, s.MaxBytes)}
	}
	return next, nil
}

// isExpired reports whether the last successful push of a group was longer ago than TTL.
func (s *Store) isExpired(g *Group, now time.Time) bool {
	last := g.Pushed
	if last.IsZero() {
		last = g.Changed
	}
	return s.TTL > 0 && now.Sub(last) >= s.TTL
}

// expire deletes the expired groups.
func (s *Store) expire() {
	now := s.Now()
	for key, g := range s.groups {
		if s.isExpired(g, now) {
			s.put(key, nil)
		}
	}
	_ = s.write() // after an error, the next call tries again; until then, Groups leaves out expired groups
}

// write writes the groups of the batch to disk, and then shows them. After an error, no group is changed.
func (s *Store) write() error {
	if len(s.pending)+len(s.suspect) == 0 {
		return nil
	}
	err := s.save()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
	if err != nil {
		for key, g := range s.pending {
			s.index.replace(g, s.groups[key])
			s.suspect[key] = true
		}
		clear(s.pending)
		return err
	}
	for key, g := range s.pending {
		if g == nil {
			delete(s.groups, key)
			continue
		}
		g.markShown()
		s.groups[key] = g
	}
	s.version++
	clear(s.pending)
	clear(s.suspect)
	return nil
}

func (g *Group) markShown() {
	for _, f := range g.Families {
		if !f.shown {
			f.shown = true
		}
	}
}
