package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable/disktest"
)

// startOn returns a queue on a disk. It is possible that the queue is not open, since the disk can fail.
func startOn(t *testing.T, d *disktest.Disk, change func(*Options)) *harness {
	b := &harness{T: t}
	b.Queue = newQueue(d, b.options(change))
	b.saving.Lock()
	defer b.saving.Unlock()
	b.tryOpen()
	return b
}

// logged returns the number of lines that contain a text.
func (b *harness) logged(text string) (n int) {
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// TestOpenLater checks a spool that cannot be opened at first. Meanwhile, records are sent from memory. When the spool can be opened, the
// waiting records are written to disk. They come after the records of the earlier run.
func TestOpenLater(t *testing.T) {
	for _, kind := range []string{"mkdir", "lock", "readdir"} {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1)
			before := openOn(t, d, nil)
			before.Put(before.recordIn(0), before.recordIn(1))
			before.Close()
			files := fmt.Sprint(d.Names())

			d.Fail = failing(kind, syscall.EACCES)
			b := startOn(t, d, nil)
			b.want("durable", b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(1)), false)
			b.want("pending", b.Pending().Records, 3)
			out, ok := b.Next(t.Context(), 0, OldestFirst)
			b.want("taken from memory", ok, true)
			acked, _ := b.Next(t.Context(), 1, OldestFirst)
			b.Ack(acked.ID)
			b.want("saved", b.Saved(out.ID), false)
			time.Sleep(openPause)
			b.want("durable", b.Put(b.recordIn(0)), false)
			b.want("files", d.Names(), files)
			b.want("lines that say so", b.logged("level=ERROR msg=\"the spool cannot be opened: samples wait in memory"), 1)

			_, fault := b.Health()
			b.want("the fault", errors.Is(fault.Err, syscall.EACCES), true)
			b.want("and how long it is known", time.Since(fault.Since), openPause)

			d.Fail = nil
			b.want("durable within the pause", b.Put(), false)
			time.Sleep(openPause)
			b.want("durable", b.Put(), true)
			b.want("lines that it is open", b.logged("the spool is open"), 1)
			_, fault = b.Health()
			b.want("the fault", fault, Fault{})
			b.want("saved", b.Saved(out.ID), true)
			b.want("the earlier run's", b.nextIDs(0, OldestFirst), []int{1})
			r, _ := b.Next(t.Context(), 0, OldestFirst)
			b.Ack(r.ID)
			r, _ = b.Next(t.Context(), 1, OldestFirst)
			b.want("of the other shard", r.ID, 2)
			b.Ack(r.ID)
			b.want("then those since, but for the one that is out", b.nextIDs(0, OldestFirst), []int{4, 5})
			b.Return(out.ID)
			b.want("and that one", b.nextIDs(0, OldestFirst), []int{3, 4, 5})
			out, _ = b.Next(t.Context(), 0, OldestFirst)
			b.Ack(out.ID)
			b.want("files", len(recordFiles(d)), 2)
			b.want("lost", b.lost, []string{})
			b.Close()
			b = openOn(t, d, nil)
			b.want("after a restart", b.nextIDs(0, OldestFirst), []int{4, 5})
		})
	}
}

// TestAckAcrossOpening checks a record that Next has returned before the directory was open. It can be acknowledged after the directory was
// opened, and its file is then removed.
func TestAckAcrossOpening(t *testing.T) {
	d := disktest.New(1)
	d.Fail = failing("lock", syscall.EIO)
	b := startOn(t, d, nil)
	b.Put(b.recordIn(0), b.recordIn(0))
	r, _ := b.Next(t.Context(), 0, OldestFirst)
	d.Fail, b.tryAgain = nil, time.Time{}
	b.want("durable", b.Put(), true)
	b.Ack(r.ID)
	b.Ack(r.ID)
	b.want("left", b.nextIDs(0, OldestFirst), []int{2})
	b.want("files", len(recordFiles(d)), 1)
	b.want("names handed out before", len(b.handed), 0)
}

// TestNeverOpened checks that memory is bounded while the directory cannot be opened, and that what is lost at the end is counted.
func TestNeverOpened(t *testing.T) {
	d := disktest.New(1)
	d.Fail = failing("lock", syscall.EROFS)
	b := startOn(t, d, func(o *Options) { o.MaxMemory = 2 * 300 })
	b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(0))
	b.want("pending", b.Pending().Records, 2)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if len(b.lost) != 3 || !strings.HasPrefix(b.lost[0], "queue_full ") || !strings.HasPrefix(b.lost[1], "shutdown ") {
		t.Errorf("lost %q", b.lost)
	}
	b.want("files", d.Names(), []string{})
}

// TestOpenedAtTheEnd checks that Close tries to open the directory, even if the previous try was just before.
func TestOpenedAtTheEnd(t *testing.T) {
	d := disktest.New(1)
	d.Fail = failing("lock", syscall.EIO)
	b := startOn(t, d, nil)
	b.Put(b.recordIn(0))
	d.Fail = nil
	b.Close()
	b.want("lost", b.lost, []string{})
	b.want("files", len(recordFiles(d)), 1)
}

// TestOpenTwice checks that a queue keeps its records in memory while another process has locked its directory.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	a := openIn(t, dir)
	a.Put(a.recordIn(0))
	b := &harness{T: t}
	b.Queue = Open(dir, b.options(nil))
	want := fmt.Sprintf("open the spool %s: in use by process %d: stop that process, or give each sink its own directory", dir, os.Getpid())
	b.want("lines that say so", b.logged(want), 1)
	b.want("durable", b.Put(b.recordIn(0)), false)
	a.Close()
	b.tryAgain = time.Time{}
	b.want("durable", b.Put(), true)
	b.want("order", b.nextIDs(0, OldestFirst), []int{1})
	b.Close()
}

// TestOpenNowhere checks that the log says which directory cannot be opened.
func TestOpenNowhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	put(t, name, nil)
	b := &harness{T: t}
	q := Open(filepath.Join(name, "spool"), b.options(nil))
	b.want("lines that say so", b.logged("open the spool "+name+"/spool: mkdir "+name+"/spool: not a directory"), 1)
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenBehindLinks opens a spool whose directory and whose lock are symbolic links. It checks that both links stay.
func TestOpenBehindLinks(t *testing.T) {
	dir := t.TempDir()
	link, lock := filepath.Join(dir, "link"), filepath.Join(dir, "real", "lock")
	for _, err := range []error{os.Mkdir(filepath.Join(dir, "real"), 0o700), os.Symlink("real", link), os.Symlink("../elsewhere", lock)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "elsewhere"), []byte("precious"))
	b := openIn(t, link)
	b.want("durable", b.Put(b.recordIn(0)), true)
	b.Close()
	for _, name := range []string{link, lock} {
		if info, err := os.Lstat(name); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more", name)
		}
	}
	b.want("the file behind the lock", string(content(t, filepath.Join(dir, "elsewhere"))), "precious")
	all, err := List(filepath.Join(dir, "real"))
	b.want("listed", fmt.Sprint(listed(all), err), "1 waiting<nil>")
}

// TestUnreadableRecord checks that a record that cannot be read is neither lost nor moved. The other records wait for this record for a
// while, and are then sent before it. The record is sent as soon as it can be read.
func TestUnreadableRecord(t *testing.T) {
	for _, errno := range []error{syscall.EACCES, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1)
			b := openOn(t, d, nil)
			b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(0))
			b.Close()
			b = openOn(t, d, nil)
			b.Put(b.recordIn(1)) // after those of the earlier run
			files := fmt.Sprint(d.Names())
			d.Fail = func(op disktest.Op) error {
				if op.Kind == "read" && strings.Contains(op.Name, "0002.") {
					return errno
				}
				return nil
			}
			began := time.Now()
			r, _ := b.Next(t.Context(), 0, OldestFirst)
			b.want("first", fmt.Sprint(r.ID, time.Since(began)), "1 0s")
			b.Return(r.ID)
			done, cancel := context.WithCancel(t.Context())
			cancel()
			first, _ := b.Next(done, 0, OldestFirst)
			b.Ack(first.ID)
			if r, ok := b.Next(done, 0, OldestFirst); ok {
				t.Errorf("record %d is sent before one that could not be read once", r.ID)
			}
			r, _ = b.Next(t.Context(), 0, OldestFirst)
			b.want("after the patience", fmt.Sprint(r.ID, time.Since(began)), "3 1m0s")
			b.Ack(r.ID)
			r, _ = b.Next(t.Context(), 1, OldestFirst)
			b.want("of this run", fmt.Sprint(r.ID, time.Since(began)), "4 1m0s")
			b.Return(r.ID)
			time.AfterFunc(25*time.Second, func() { d.Change(func() { d.Fail = nil }) })
			r, _ = b.Next(t.Context(), 0, OldestFirst)
			b.want("when it can be read", fmt.Sprint(r.ID, len(r.Payload), time.Since(began)), "2 10 1m30s")
			b.Return(r.ID)
			b.want("lost", b.lost, []string{})
			if len(recordFiles(d)) != 2 || !strings.HasPrefix(files, "[0000000000000001.") {
				t.Errorf("files before: %s, and now: %s", files, d.Names())
			}
			b.want("warnings", b.logged("WARN"), 1)
			b.want("of the record", b.logged("cannot be read, and waits"), 1)
			b.want("lines that it can be read", b.logged("can be read again"), 1)
		})
	}
}

// TestUnreadableRecordAtTheEnd checks that at the end of the process, a record that is only in memory does not wait for one that cannot be
// read, and that a record on disk does.
func TestUnreadableRecordAtTheEnd(t *testing.T) {
	for _, inMemory := range []bool{true, false} {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0))
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "read" || inMemory && op.Kind == "create" {
				return syscall.EIO
			}
			return nil
		}
		b.Put(b.recordIn(0))
		done, cancel := context.WithCancel(t.Context())
		cancel()
		_, ok := b.Next(done, 0, OldestFirst)
		b.want("first", ok, false)
		b.want("some are left", b.LeaveUnread(), inMemory)
		r, ok := b.Next(done, 0, OldestFirst)
		b.want("next", fmt.Sprint(r.ID, ok), map[bool]string{true: "2 true", false: "0 false"}[inMemory])
		if ok {
			b.Ack(r.ID)
		}
		_, ok = b.Next(done, 0, OldestFirst)
		b.want("one more, and left", fmt.Sprint(ok, b.LeaveUnread()), "false false")
		b.Close()
		b.want("lost", b.lost, []string{})
		b.want("on disk", len(recordFiles(d)), map[bool]int{true: 1, false: 2}[inMemory])
	}
}

// TestUnreadableRecordOfOtherShard checks a caller that waits for the records of an earlier run. One of these records is in another shard
// and cannot be read. The caller is woken when that record is passed over.
func TestUnreadableRecordOfOtherShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0))
		b.Close()
		b = openOn(t, d, nil)
		b.Put(b.recordIn(1))
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "read" && strings.Contains(op.Name, "0001.") {
				return syscall.EACCES
			}
			return nil
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		go b.Next(ctx, 0, OldestFirst)
		r, ok := b.Next(ctx, 1, OldestFirst)
		b.want("of this run", fmt.Sprint(r.ID, ok, time.Since(began)), "2 true 1m0s")
		b.want("lost", b.lost, []string{})
	})
}

// TestVanished takes the whole spool away while a record is sent and other records wait, and puts the spool back. No record must count as
// lost. The next process must not send the record that was sent, and must send the other records in their order.
func TestVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(0))
		b.Close()
		b = openOn(t, d, nil)
		r, _ := b.Next(t.Context(), 0, OldestFirst)
		d.Change(func() { d.Fail = func(disktest.Op) error { return syscall.ENOENT } })
		b.Ack(r.ID)
		time.AfterFunc(25*time.Second, func() { d.Change(func() { d.Fail = nil }) })
		r, _ = b.Next(t.Context(), 0, OldestFirst)
		b.want("when it is back", fmt.Sprint(r.ID, len(r.Payload)), "2 10")
		b.Ack(r.ID)
		b.Put(b.recordIn(0))
		synctest.Wait()
		b.want("lost", b.lost, []string{})
		b.Close()
		b = openOn(t, d, nil)
		b.want("in the next process", b.nextIDs(0, OldestFirst), []int{3, 4})
	})
}

// TestUnreadableRecords checks many unreadable records. Other records wait for them no longer than for a single unreadable record. When the
// unreadable records can be read again, they come in their order.
func TestUnreadableRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		for range 300 {
			b.Put(b.recordIn(0))
		}
		d.Fail = failing("read", syscall.EACCES)
		b.Close()
		b = openOn(t, d, nil)
		began := time.Now()
		go func() {
			time.Sleep(2 * time.Minute)
			d.Change(func() {
				d.Fail = func(op disktest.Op) error {
					if op.Kind == "read" && !strings.Contains(op.Name, "0301.") {
						return syscall.EACCES
					}
					return nil
				}
			})
			b.Put(b.recordIn(0))
		}()
		r, _ := b.Next(t.Context(), 0, OldestFirst)
		b.want("the one that can be read", fmt.Sprint(r.ID, time.Since(began)), "301 2m0s")
		b.Ack(r.ID)
		b.want("pending", b.Pending().Records, 300)
		d.Change(func() { d.Fail = nil })
		for id := range uint64(300) {
			r, _ := b.Next(t.Context(), 0, OldestFirst)
			if r.ID != id+1 {
				t.Fatalf("record %d came in place of %d", r.ID, id+1)
			}
			b.Ack(r.ID)
		}
		b.want("lost", b.lost, []string{})
		b.want("bounded", b.index.unread, 0)
	})
}

// TestStrangeFileStays checks that a file with a strange name is not set aside if it cannot be read.
func TestStrangeFileStays(t *testing.T) {
	d := disktest.New(1)
	d.Put("0000000000000007.strange.rec", []byte("?"))
	d.Fail = failing("read", syscall.EIO)
	b := openOn(t, d, nil)
	b.want("files", d.Names(), []string{"0000000000000007.strange.rec"})
	b.Put(b.recordIn(0))
	b.want("the next number", b.nextIDs(0, NewestFirst), []int{})
	d.Fail = nil
	b.want("the next number", b.nextIDs(0, NewestFirst), []int{8})
}
