package spool

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

// openShared returns a queue in dir for a receiver.
func openShared(t *testing.T, dir, receiver string) *Queue {
	t.Helper()
	q := Open(dir, Options{
		Shards: 1, MaxBytes: 1 << 20, MaxMemory: 1 << 20, MaxAge: time.Hour, Inbox: receiver, Log: slog.New(slog.DiscardHandler),
		Dropped: func(why Reason, m Meta) { t.Errorf("dropped: %s %+v", why, m) },
	})
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func text(payload string) Record {
	return Record{Meta: Meta{Samples: 1, Oldest: 1, Newest: 2}, Payload: []byte(payload)}
}

// sent takes up to n records from a queue and acknowledges them. It returns their payloads in order.
func sent(t *testing.T, q *Queue, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all []string
	for range n {
		r, ok := q.Next(ctx, 0, OldestFirst)
		if !ok {
			break
		}
		all = append(all, string(r.Payload))
		q.Ack(r.ID)
	}
	return strings.Join(all, " ")
}

// TestGuests checks three processes that put records into one spool: one of them sends all records, in order.
func TestGuests(t *testing.T) {
	dir := t.TempDir()
	owner, a, b := openShared(t, dir, "x"), openShared(t, dir, "x"), openShared(t, dir, "x")
	if !owner.Put(text("o1")) || !a.Put(text("a1"), text("a2")) || !b.Put(text("b1")) || !a.Put(text("a3")) {
		t.Fatal("not durable")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, ok := a.Next(ended, 0, OldestFirst); ok {
		t.Error("a guest sends")
	}
	if p := a.Pending(); p.Records != 3 || p.Samples != 3 || a.Given() != 3 || a.AwaitTurn(ended) {
		t.Errorf("pending %+v, given %d", p, a.Given())
	}
	if listed, err := List(dir); err != nil || len(listed) != 5 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if got := sent(t, owner, 5); got != "o1 a1 a2 b1 a3" {
		t.Errorf("sent %q", got)
	}
	if a.AwaitTurn(t.Context()) || a.Pending().Records != 0 {
		t.Errorf("a guest whose records are sent waits: %+v", a.Pending())
	}
}

// TestGuestsAdopted checks that a guest waits for records that the owner has taken from the inbox but has not delivered yet.
func TestGuestsAdopted(t *testing.T) {
	dir := t.TempDir()
	owner, a := openShared(t, dir, "x"), openShared(t, dir, "x")
	a.Put(text("a1"), Record{Meta: Meta{Samples: 2, Oldest: 1, Newest: 2}, Payload: []byte("a2")})
	owner.adopt()
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*"+suffix)); len(left) > 0 {
		t.Fatalf("in the inbox: %q", left)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, want := range []int{2, 1} { // records that are not delivered
		if a.AwaitTurn(ended) || a.Given() != want || a.Pending().Records != want {
			t.Errorf("the guest waits for %d records, want %d: %+v", a.Given(), want, a.Pending())
		}
		sent(t, owner, 1)
	}
	if a.AwaitTurn(t.Context()) || a.Given() != 0 || a.Pending().Records != 0 {
		t.Errorf("everything is delivered, and the guest waits for %d records: %+v", a.Given(), a.Pending())
	}
}

// TestGuestsTurn ends an owner that has not sent everything. It checks that a guest takes over the remaining records, and sends them before
// its own records.
func TestGuestsTurn(t *testing.T) {
	dir := t.TempDir()
	owner, a, b := openShared(t, dir, "x"), openShared(t, dir, "x"), openShared(t, dir, "x")
	for _, put := range []struct {
		q    *Queue
		text string
	}{{owner, "o1"}, {b, "b1"}, {a, "a1"}, {owner, "o2"}} {
		put.q.Put(text(put.text))
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	if !a.AwaitTurn(t.Context()) {
		t.Fatal("not the owner")
	}
	b.Put(text("b2"))
	a.Put(text("a2"))
	if got := sent(t, a, 6); got != "o1 b1 a1 o2 b2 a2" {
		t.Errorf("sent %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestGuestsBefore checks the order of records: those that a guest has put come before those that the owner puts later.
func TestGuestsBefore(t *testing.T) {
	dir := t.TempDir()
	owner, a := openShared(t, dir, "x"), openShared(t, dir, "x")
	owner.adopt() // the next regular look is later
	a.Put(text("a1"))
	owner.Put(text("o1"))
	if got := sent(t, owner, 2); got != "a1 o1" {
		t.Errorf("sent %q", got)
	}
}

// hiding is a directory that is read while names are added: each of the first readings leaves out one name that is there.
type hiding struct {
	durable.FS
	hide []int // for each reading, the name to leave out
}

func (h *hiding) ReadDir(name string) ([]string, error) {
	names, err := h.FS.ReadDir(name)
	if len(h.hide) > 0 && len(names) > h.hide[0] {
		names = slices.Delete(names, h.hide[0], h.hide[0]+1)
		h.hide = h.hide[1:]
	}
	return names, err
}

// TestGuestsWrite checks that records of a guest stay in order although the inbox is read while the guest adds them.
func TestGuestsWrite(t *testing.T) {
	for _, hide := range [][]int{{0}, {1}, {1, 0}, {2}, {0, 1, 0}} {
		dir := t.TempDir()
		owner, a := openShared(t, dir, "x"), openShared(t, dir, "x")
		a.Put(text("a1"), text("a2"), text("a3"))
		owner.guest.inbox = &hiding{owner.guest.inbox, hide}
		owner.adopt()
		if got := sent(t, owner, 3); got != "a1 a2 a3" {
			t.Errorf("without name %v at first: sent %q", hide, got)
		}
	}
}

// TestGuestsOfOthers checks that an owner does not send records that are for another receiver.
func TestGuestsOfOthers(t *testing.T) {
	dir := t.TempDir()
	owner, other := openShared(t, dir, "x"), openShared(t, dir, "y")
	other.Put(text("y1"))
	owner.Put(text("x1"))
	if got := sent(t, owner, 1); got != "x1" {
		t.Errorf("sent %q", got)
	}
	owner.guest.look = time.Time{}
	owner.adopt()
	if owner.Pending().Records != 0 || other.Given() != 1 {
		t.Errorf("the owner has %+v", owner.Pending())
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	if !other.AwaitTurn(t.Context()) || sent(t, other, 1) != "y1" {
		t.Error("the other receiver's record is lost")
	}
}

// TestGuestsNowhere checks that records wait in memory while the inbox cannot be written.
func TestGuestsNowhere(t *testing.T) {
	dir := t.TempDir()
	owner := openShared(t, dir, "x")
	if err := os.WriteFile(filepath.Join(dir, inboxPrefix+"x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := openShared(t, dir, "x")
	if a.Put(text("a1")) || a.Pending().Records != 1 {
		t.Errorf("pending %+v", a.Pending())
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	if !a.AwaitTurn(t.Context()) || sent(t, a, 1) != "a1" {
		t.Error("not sent")
	}
}

// TestGivenWhileSent checks a record that is acknowledged while it is written to the inbox. Next has returned this record before another
// process owned the directory. The record must not be sent again, and all records behind it must be in the inbox.
func TestGivenWhileSent(t *testing.T) {
	d, inbox := disktest.New(1), disktest.New(1)
	d.Fail = failing("lock", syscall.EIO)
	b := startOn(t, d, nil)
	b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(0))
	r, _ := b.Next(t.Context(), 0, OldestFirst)
	d.Fail = failing("lock", &durable.HeldError{})
	b.guest.inbox, b.tryAgain = inbox, time.Time{}
	inbox.Fail = func(op disktest.Op) error {
		if op.Kind == "rename" {
			b.Ack(r.ID)
		}
		return nil
	}
	b.want("durable", b.Put(b.recordIn(0)), true)
	b.want("given", b.Given(), 3)
	b.want("in memory", b.index.records, 0)
	b.want("pending", b.Pending().Records, 3)
	b.want("files", len(recordFiles(inbox)), 3)
	b.want("lost", b.lost, []string{})
}

// TestGivenThenSent checks records that Next has returned before they were put into the inbox, and that are acknowledged or returned only after
// that. An acknowledged record must not be sent again. This is also true if the process has become the owner of the directory meanwhile. A
// returned record must be sent.
func TestGivenThenSent(t *testing.T) {
	for _, c := range []struct {
		acked, first bool // acknowledged, or else returned; before this process becomes the owner, or else after that
		given        int  // records in the inbox before the process becomes the owner
		want         string
	}{
		{true, true, 2, "a2 a3"},
		{true, false, 3, "a2 a3"},
		{false, true, 3, "a1 a2 a3"},
		{false, false, 3, "a1 a2 a3"},
	} {
		dir := filepath.Join(t.TempDir(), "spool")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a := openShared(t, dir, "x")
		a.Put(text("a1"), text("a2"))
		r, _ := a.Next(t.Context(), 0, OldestFirst)
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		owner := openShared(t, dir, "x")
		a.tryAgain = time.Time{}
		if !a.Put(text("a3")) || a.Given() != 3 || !a.Saved(r.ID) {
			t.Fatalf("given %d, saved %t", a.Given(), a.Saved(r.ID))
		}
		settle := func() {
			if c.acked {
				a.Ack(r.ID)
			} else {
				a.Return(r.ID)
			}
		}
		if c.first {
			settle()
		}
		files, _ := filepath.Glob(filepath.Join(dir, inboxPrefix+"x", "*"+suffix))
		if a.Given() != c.given || a.Pending().Records != c.given || len(files) != c.given {
			t.Errorf("%+v: given %d, pending %d, %d files", c, a.Given(), a.Pending().Records, len(files))
		}
		if err := owner.Close(); err != nil {
			t.Fatal(err)
		}
		if !a.AwaitTurn(t.Context()) {
			t.Fatal("not the owner")
		}
		if !c.first {
			settle()
		}
		n := a.Pending().Records
		if got := sent(t, a, n); got != c.want {
			t.Errorf("%+v: sent %q", c, got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 || len(a.lent) > 0 {
			t.Errorf("%+v: left %q, %v", c, left, a.lent)
		}
	}
}

// TestGivenWhileMoved acknowledges a record while the process, which has become the owner of the directory, moves it from the inbox into
// the queue. The record must not be sent again.
func TestGivenWhileMoved(t *testing.T) {
	d, inbox := disktest.New(1), disktest.New(1)
	d.Fail = failing("lock", syscall.EIO)
	b := startOn(t, d, nil)
	b.Put(b.recordIn(0), b.recordIn(0))
	r, _ := b.Next(t.Context(), 0, OldestFirst)
	d.Fail = failing("lock", &durable.HeldError{})
	b.guest.inbox, b.tryAgain = inbox, time.Time{}
	b.want("durable", b.Put(b.recordIn(0)), true)
	name := b.lent[r.ID].name
	if err := inbox.Remove(name); err != nil { // as the owner does when it moves the file
		t.Fatal(err)
	}
	b.Ack(r.ID)
	b.moved(name, 1)
	b.mu.Lock()
	m, _ := parseGuestName(name)
	m.ID = 1
	b.index.add(&entry{Meta: m, saved: true, file: true})
	c := b.follow()
	b.mu.Unlock()
	b.want("files to remove", c.files, []string{m.name()})
	b.want("in the queue", b.index.records, 0)
	b.want("noted", len(b.lent), 0)
}
