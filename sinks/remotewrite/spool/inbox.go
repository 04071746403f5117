package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// One process at a time uses the queue of a directory: its owner. Any other process is a guest until it becomes the owner. A guest sends
// nothing, so that the samples of a series stay in order. It writes its records to the inbox, which is a subdirectory. The owner moves them
// into the queue by renaming their files, so a record is always in one of the two directories. There is an inbox for each destination,
// since an owner must not send records that are meant for another receiver.
//
// In the inbox, the name of a record's file has an additional word after the ID. This word is unique to the guest:
//
//	1764433333333333.IV2B6ZQH3T.s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764.rec
const (
	inboxPrefix = "inbox-" // prefix of the subdirectory's name; the destination follows

	guestPause = 200 * time.Millisecond // time between the attempts of a guest to become the owner
	adoptPause = 500 * time.Millisecond // time between the moments at which an owner looks into the inbox
)

// guest holds the state that a queue needs if it is not the owner of its directory, or if it cannot be sure that it is the owner.
type guest struct {
	inbox  durable.FS // nil = there is no inbox
	folder string     // name of the inbox in the directory of the queue
	word   string     // the word in the names of the guest's records

	held   bool      // another process owns the directory
	given  []given   // records in the inbox that the owner has perhaps not delivered yet
	lastID uint64    // the last ID that was used in the inbox
	look   time.Time // when the owner has last looked into the inbox
}

// given is a record that a guest has put into the inbox.
type given struct {
	Meta
	name string
}

// lent is a record in the inbox that this process is sending: Next returned it before another process owned the directory. It must leave the
// inbox when it is acknowledged. Otherwise the owner would send it again.
type lent struct {
	name  string // in the inbox
	id    uint64 // in the queue, if this process has become the owner and has moved the record there; 0 = the record is not known to be there
	acked bool   // Ack was called
}

func newGuest(dir, folder string) guest {
	if dir == "" || folder == "" {
		return guest{}
	}
	folder = inboxPrefix + folder
	return guest{inbox: durable.NewDir(filepath.Join(dir, folder)), folder: folder, word: rand.Text()[:10]}
}

// guestName returns the name of a record in the inbox.
func guestName(m *Meta, word string) string {
	id, rest, _ := strings.Cut(m.name(), ".")
	return id + "." + word + "." + rest
}

// parseGuestName parses the name of a record in the inbox.
func parseGuestName(name string) (m Meta, ok bool) {
	id, rest, _ := strings.Cut(name, ".")
	_, rest, _ = strings.Cut(rest, ".")
	return parseName([]byte(id + "." + rest))
}

// isHeld reports whether err says that another process owns the directory, so that this process is a guest. It stores the result in the
// field "held".
func (q *Queue) isHeld(err error) bool {
	owner, held := errors.AsType[*durable.HeldError](err)
	held = held && q.guest.inbox != nil
	q.mu.Lock()
	first := held && !q.guest.held
	q.guest.held = held
	q.mu.Unlock()
	if first {
		q.options.Log.Info("another process sends from the spool: this one puts its samples there, and sends when it is its turn", "spool", q.dir, "process", owner.PID)
	}
	return held
}

// give writes the records that are only in memory to the inbox, and reports whether all of them are now in the inbox. The caller holds the
// mutex "saving".
func (q *Queue) give() (all bool) {
	q.mu.Lock()
	held, todo := q.guest.held && !q.closed, q.index.unsaved()
	q.mu.Unlock()
	if !held {
		return false
	}
	if err := q.guest.inbox.Mkdir("."); err != nil {
		q.fails(err)
		return false
	}
	var batch []given
	for _, e := range todo {
		g := given{Meta: e.Meta}
		q.guest.lastID = max(q.guest.lastID+1, uint64(time.Now().UnixMicro()))
		g.ID = q.guest.lastID
		g.name = guestName(&g.Meta, q.guest.word)
		batch = append(batch, g)
	}
	for len(batch) > 0 {
		n := min(len(batch), maxGroup)
		names := make([]string, n)
		for i := range n {
			names[i] = batch[i].name
		}
		done, err := durable.ReplaceAll(q.guest.inbox, names, func(i int, w io.Writer) error {
			r := Record{Meta: batch[i].Meta, Payload: todo[i].payload}
			_, err := w.Write(r.encode())
			return err
		})
		q.handOver(todo[:done.Named], batch)
		if err != nil {
			q.fails(err)
			return false
		}
		q.works()
		todo, batch = todo[n:], batch[n:]
	}
	return true
}

// handOver removes records from the index, because they are now in the inbox, under the names in "batch". If a record was acknowledged or
// dropped meanwhile, handOver removes its file from the inbox. If a record is being sent, handOver makes a note for Ack.
func (q *Queue) handOver(done []*entry, batch []given) {
	var gone []string
	q.mu.Lock()
	for i, e := range done {
		if e.gone {
			gone = append(gone, batch[i].name)
			continue
		}
		if e.out {
			q.lent[e.ID] = &lent{name: batch[i].name}
		}
		q.index.remove(e)
		q.guest.given = append(q.guest.given, batch[i])
	}
	q.mu.Unlock()
	q.removeGiven(gone)
}

// removeGiven removes files from the inbox. It returns those that it has not removed: they are not there, or the disk fails.
func (q *Queue) removeGiven(names []string) (others []string) {
	for _, name := range names {
		err := q.guest.inbox.Remove(name)
		if err == nil {
			continue
		}
		others = append(others, name)
		if !errors.Is(err, fs.ErrNotExist) {
			q.fails(err)
		}
	}
	return others
}

// ackLent notes that a record which is perhaps in the inbox was acknowledged. It returns the names of the files to remove from the inbox.
// The caller holds mu.
func (q *Queue) ackLent(id uint64) (names []string) {
	l := q.lent[id]
	if l == nil || l.acked {
		return nil
	}
	l.acked = true
	q.guest.given = slices.DeleteFunc(q.guest.given, func(g given) bool { return g.name == l.name })
	if l.id == 0 {
		names = append(names, l.name)
	}
	return names
}

// takeBack removes acknowledged records from the inbox. A record that is not there was moved into a queue. If that is the queue of another
// process, that process sends the record again. If it is the queue of this process, which has become the owner, follow drops the record.
func (q *Queue) takeBack(names []string) {
	if len(names) == 0 {
		return
	}
	others := q.removeGiven(names)
	if err := q.guest.inbox.SyncDir(); err != nil {
		q.fails(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	maps.DeleteFunc(q.lent, func(_ uint64, l *lent) bool {
		return slices.Contains(names, l.name) && !slices.Contains(others, l.name)
	})
}

// moved notes that a record of the inbox was moved into the queue, where it has the given ID.
func (q *Queue) moved(name string, id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lent {
		if l.name == name {
			l.id = id
		}
	}
}

// follow is called when records of the inbox are in the index. Among them can be records that this process was sending when it put them into
// the inbox. Those that are acknowledged are dropped. The others can be acknowledged and returned by the ID that the caller of Next knows. The
// caller of follow holds mu.
func (q *Queue) follow() (c cleanup) {
	for id, l := range q.lent {
		e := q.index.find(l.id)
		switch {
		case e == nil:
			continue
		case l.acked:
			c.files = append(c.files, q.settle(e).files...)
		default:
			e.out, q.handed[id] = true, e
		}
		delete(q.lent, id)
	}
	return c
}

// AwaitTurn waits until this process owns the queue, until the owner has delivered all records of this process, or until ctx ends. It
// reports whether this process owns the queue and has records to send.
func (q *Queue) AwaitTurn(ctx context.Context) bool {
	for {
		q.mu.Lock()
		held := q.guest.held
		q.mu.Unlock()
		if !held {
			return false // it already is the owner
		}
		q.saving.Lock()
		q.tryAgain = time.Time{}
		open := q.save() && q.isOpen()
		q.saving.Unlock()
		if open {
			return q.Pending().Records > 0
		}
		if q.forgetDelivered(); q.Pending().Records == 0 {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(guestPause):
		}
	}
}

func (q *Queue) isOpen() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open
}

// Given returns the number of records in the inbox that the owner has not delivered yet.
func (q *Queue) Given() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.guest.given)
}

// forgetDelivered forgets the records that were put into the inbox and are no longer in the inbox or in the queue.
func (q *Queue) forgetDelivered() {
	there := map[string]bool{}
	inbox, err := q.guest.inbox.ReadDir(".") // read before the queue, since records move from the inbox to the queue
	if err != nil {
		return
	}
	queue, err := q.fsys.ReadDir(".")
	if err != nil {
		return
	}
	for _, name := range inbox {
		there[name] = true
	}
	for _, name := range queue {
		_, label, _ := strings.Cut(name, ".")
		there[label] = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []given
	for _, g := range q.guest.given {
		if there[g.name] || there[string(g.appendLabel(nil))+suffix] {
			left = append(left, g)
		}
	}
	q.guest.given = left
}

// adopt moves the records of the inbox into the queue, at most once per adoptPause.
func (q *Queue) adopt() {
	q.mu.Lock()
	due := q.guest.inbox != nil && q.open && !q.closed && time.Since(q.guest.look) >= adoptPause
	if due {
		q.guest.look = time.Now()
	}
	q.mu.Unlock()
	if !due {
		return
	}
	q.saving.Lock()
	defer q.saving.Unlock()
	q.takeAll()
}

// takeAll moves the records of the inbox into the queue. First it saves the records that are only in memory, since records on disk must be
// older than those in memory. The caller holds the mutex "saving".
func (q *Queue) takeAll() {
	if q.guest.inbox == nil || !q.isOpen() {
		return
	}
	names := q.inboxNames()
	if len(names) == 0 || !q.save() {
		return
	}
	q.mu.Lock()
	last := q.lastID
	q.mu.Unlock()
	adopted := q.takeIn(names, &last)
	q.mu.Lock()
	now := q.now().UnixMilli()
	for _, m := range adopted {
		q.index.add(&entry{Meta: m, put: min(m.Taken, now), saved: true, file: true, repeated: true})
	}
	q.lastID = last
	rest := q.follow()
	q.wake()
	q.mu.Unlock()
	q.finish(rest)
	q.finish(q.boundDisk(nil))
}

// inboxNames returns the names of the records in the inbox, oldest first. If guests add names while the directory is read, the reading can
// show a name and miss an older name that is also there. So the directory is read again, until two readings in a row show the same names.
// Names that are newer than all names of the earlier reading are ignored in this comparison.
func (q *Queue) inboxNames() []string {
	if q.guest.inbox == nil {
		return nil
	}
	names := q.readInbox()
	for len(names) > 0 {
		newest, again := names[len(names)-1], q.readInbox()
		again = slices.DeleteFunc(again, func(name string) bool { return name > newest })
		if slices.Equal(names, again) {
			break
		}
		names = again
	}
	return names
}

func (q *Queue) readInbox() []string {
	names, err := q.guest.inbox.ReadDir(".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		q.fails(err)
	}
	return records(names)
}

// takeIn moves records of the inbox into the directory of the queue. The records get the next IDs after "last".
func (q *Queue) takeIn(names []string, last *uint64) (adopted []Meta) {
	for _, name := range names {
		m, ok := parseGuestName(name)
		if !ok {
			continue // the name is from a later version
		}
		m.ID = *last + 1
		err := q.fsys.Rename(path.Join(q.guest.folder, name), m.name())
		if errors.Is(err, fs.ErrNotExist) && !q.isAway(err) {
			continue // acknowledged meanwhile by the process that has put it there
		}
		if err != nil {
			q.fails(err)
			break
		}
		q.moved(name, m.ID)
		*last = m.ID
		adopted = append(adopted, m)
	}
	if len(adopted) > 0 {
		if err := q.fsys.SyncDir(); err != nil {
			q.fails(err)
		}
	}
	return adopted
}

// guests returns the records in all inboxes of a spool, oldest first.
func guests(dir string) (all []Listed) {
	names, _ := filepath.Glob(filepath.Join(dir, inboxPrefix+"*", "*"+suffix)) // ignored: only a malformed pattern is an error
	for _, name := range names {
		if m, ok := parseGuestName(filepath.Base(name)); ok {
			all = append(all, Listed{m, path.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name)), Waiting, nil})
		}
	}
	slices.SortFunc(all, func(a, b Listed) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
