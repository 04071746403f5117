package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// One process has the queue of a directory: its owner. Any other process is a guest until it is its turn. It sends nothing, so that no
// sample overtakes another one of its series. It puts its records into the inbox, a subdirectory, from which the owner takes them
// into the queue by giving them their names there. Only the names change, so a record is always in one of the two. There is an inbox for
// each destination, since an owner must not send what is for another receiver.
//
// The name of a record in the inbox is that of its file, with a word after the ID that is unique to the guest:
//
//	1764433333333333.IV2B6ZQH3T.s0.p2.t1795958472481.o1795958472477.n1795958472478.v36.h2.e0.b764.rec
const (
	inboxPrefix = "inbox-" // of the name of the subdirectory; what follows stands for the destination

	guestPause = 200 * time.Millisecond // between a guest's tries to become the owner
	adoptPause = 500 * time.Millisecond // between an owner's looks at the inbox
)

// guest is what a queue needs that is, or may be, not the owner of its directory.
type guest struct {
	inbox  durable.FS // nil = there is none
	folder string     // of inbox, in the directory of the queue
	word   string

	held   bool    // another process owns the directory
	given  []given // what may not be delivered yet
	lastID uint64  // in the inbox
	look   time.Time
}

// given is a record that a guest has put into the inbox.
type given struct {
	Meta
	name string
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
	return parseName(id + "." + rest)
}

// isHeld notes whether another process owns the directory, so that this one is a guest.
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

// give puts the records that are only in memory into the inbox, and reports whether all are there. The caller holds saving.
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
		q.mu.Lock()
		for i := range done.Named {
			q.index.remove(todo[i])
			q.guest.given = append(q.guest.given, batch[i])
		}
		q.mu.Unlock()
		if err != nil {
			q.fails(err)
			return false
		}
		q.works()
		todo, batch = todo[n:], batch[n:]
	}
	return true
}

// AwaitTurn waits until this process owns the queue, or the owner has delivered all that this process has put into it, or ctx
// ends. It reports whether this process owns the queue, and has something to send.
func (q *Queue) AwaitTurn(ctx context.Context) bool {
	for {
		q.mu.Lock()
		held := q.guest.held
		q.mu.Unlock()
		if !held {
			return false // it has been the owner before
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

// Given returns how many records this process has put into the inbox of another one, which has not delivered them yet.
func (q *Queue) Given() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.guest.given)
}

// forgetDelivered forgets what was put into the inbox and is neither there nor in the queue any more.
func (q *Queue) forgetDelivered() {
	there := map[string]bool{}
	inbox, err := q.guest.inbox.ReadDir(".") // first, since records go from here to there
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
		if there[g.name] || there[g.label()+suffix] {
			left = append(left, g)
		}
	}
	q.guest.given = left
}

// adopt takes what is in the inbox into the queue, if it is time to look.
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

// takeAll takes what is in the inbox into the queue. The records that are only in memory are saved before, since all on disk are
// older. The caller holds saving.
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
	q.wake()
	q.mu.Unlock()
	q.finish(q.boundDisk(nil))
}

// inboxNames returns the names of the records in the inbox, oldest first.
func (q *Queue) inboxNames() []string {
	if q.guest.inbox == nil {
		return nil
	}
	names, err := q.guest.inbox.ReadDir(".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		q.fails(err)
	}
	return records(names)
}

// takeIn moves records of the inbox into the directory of the queue, with the IDs after last.
func (q *Queue) takeIn(names []string, last *uint64) (adopted []Meta) {
	for _, name := range names {
		m, ok := parseGuestName(name)
		if !ok {
			continue // of a later version
		}
		m.ID = *last + 1
		if err := q.fsys.Rename(path.Join(q.guest.folder, name), m.name()); err != nil {
			q.fails(err)
			break
		}
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
	names, _ := filepath.Glob(filepath.Join(dir, inboxPrefix+"*", "*"+suffix)) // the error is of the pattern: none is bad
	for _, name := range names {
		if m, ok := parseGuestName(filepath.Base(name)); ok {
			all = append(all, Listed{m, path.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name)), Waiting, nil})
		}
	}
	slices.SortFunc(all, func(a, b Listed) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
