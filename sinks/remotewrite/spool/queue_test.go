package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

// harness is a queue under test, with its log and a list of the records that it has lost.
type harness struct {
	*testing.T
	*Queue
	log  bytes.Buffer
	lost []string // reason and ID
}

func (b *harness) options(change func(*Options)) Options {
	o := Options{
		Shards: 2, MaxBytes: 1 << 30, MaxMemory: 1 << 30, MaxAge: time.Hour,
		Log:     slog.New(slog.NewTextHandler(&b.log, nil)),
		Dropped: func(reason Reason, m Meta) { b.lost = append(b.lost, fmt.Sprint(reason, " ", m.ID)) },
	}
	if change != nil {
		change(&o)
	}
	return o
}

// openOn opens a queue on f, or in memory if f is nil.
func openOn(t *testing.T, f durable.FS, change func(*Options)) *harness {
	t.Helper()
	b := &harness{T: t}
	b.Queue = newQueue(f, b.options(change))
	if f == nil {
		return b
	}
	if err := b.load(); err != nil {
		t.Fatal(err)
	}
	return b
}

// openIn opens a queue in a directory.
func openIn(t *testing.T, dir string) *harness {
	t.Helper()
	b := &harness{T: t}
	b.Queue = Open(dir, b.options(nil))
	if !b.open {
		t.Fatal(&b.log)
	}
	t.Cleanup(func() { b.Queue.Close() })
	return b
}

// recordOf returns a record of n bytes.
func recordOf(n int) Record {
	return Record{Meta: Meta{Samples: 10, Histograms: 2, Exemplars: 1, Protocol: 2, Oldest: -5, Newest: 7}, Payload: bytes.Repeat([]byte{'x'}, n)}
}

func (b *harness) recordIn(n int) Record {
	r := recordOf(10)
	r.Shard = n
	return r
}

// nextIDs returns the IDs of all records of a shard in the order of Next, and puts the records back.
func (b *harness) nextIDs(shard int, order Order) (all []uint64) {
	done, cancel := context.WithCancel(b.Context())
	cancel()
	for r, ok := b.Next(done, shard, order); ok; r, ok = b.Next(done, shard, order) {
		all = append(all, r.ID)
	}
	for _, id := range all {
		b.Return(id)
	}
	return all
}

func (b *harness) want(what string, got, want any) {
	b.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestOrder(t *testing.T) {
	b := openOn(t, disktest.New(1), nil)
	b.Put(b.recordIn(0), b.recordIn(1), b.recordIn(0), b.recordIn(0))
	b.want("oldest first", b.nextIDs(0, OldestFirst), []int{1, 3, 4})
	b.want("newest first", b.nextIDs(0, NewestFirst), []int{4, 3, 1})
	b.want("of the other shard", b.nextIDs(1, OldestFirst), []int{2})
	first, _ := b.Next(t.Context(), 0, OldestFirst)
	last, _ := b.Next(t.Context(), 0, NewestFirst)
	b.want("beside those given out", b.nextIDs(0, OldestFirst), []int{3})
	b.Ack(last.ID)
	b.Return(first.ID)
	b.Ack(99)
	b.want("after one is settled and one given back", b.nextIDs(0, OldestFirst), []int{1, 3})
}

// TestRecordIsKept checks that a record comes back with all its fields, from memory and from disk.
func TestRecordIsKept(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	now := time.Now().Truncate(time.Millisecond)
	for _, r := range []Record{recordOf(3000), recordOf(0)} {
		b.want("durable", b.Put(r), true)
	}
	p := b.Pending()
	if p.Records != 2 || p.Samples != 24 || p.Bytes != 8192 || p.Oldest.Before(now) || time.Since(p.Oldest) < 0 {
		t.Errorf("pending: %+v", p)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openIn(t, dir)
	b.want("pending after a restart", b.Pending(), p)
	want := recordOf(3000)
	want.ID, want.Taken, want.Bytes = 1, p.Oldest.UnixMilli(), 3000
	r, _ := b.Next(t.Context(), 0, OldestFirst)
	if r.Meta != want.Meta || !bytes.Equal(r.Payload, want.Payload) {
		t.Errorf("got %+v, want %+v", r.Meta, want.Meta)
	}
	b.Return(1)
	b.Put(recordOf(1))
	b.want("the numbers go on", b.nextIDs(0, NewestFirst), []int{3, 2, 1})
}

func TestWaiting(t *testing.T) {
	for _, f := range []durable.FS{nil, disktest.New(1)} {
		synctest.Test(t, func(t *testing.T) {
			b := openOn(t, f, nil)
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan string, 9)
			go func() {
				for {
					r, ok := b.Next(ctx, 0, OldestFirst)
					if !ok {
						got <- "end"
						return
					}
					got <- fmt.Sprint(r.ID)
					b.Ack(r.ID)
				}
			}()
			said := func() (all string) {
				synctest.Wait()
				for len(got) > 0 {
					all += <-got + " "
				}
				return all
			}
			b.want("nothing is put", said(), "")
			b.want("durable", b.Put(b.recordIn(0)), f != nil)
			b.Put(b.recordIn(1), b.recordIn(0))
			b.want("two of its shard are put", said(), "1 3 ")
			r, _ := b.Next(ctx, 1, OldestFirst)
			go func() {
				again, _ := b.Next(t.Context(), 1, OldestFirst)
				b.Return(again.ID)
				got <- "again " + fmt.Sprint(again.ID)
			}()
			b.want("the only one is given out", said(), "")
			b.Return(r.ID)
			b.want("it is given back", said(), "again 2 ")
			cancel()
			b.want("its context ends", said(), "end ")
			b.want("what waits comes after the end too", b.nextIDs(1, OldestFirst), []int{2})
			go func() {
				_, ok := b.Next(t.Context(), 0, OldestFirst)
				got <- fmt.Sprint(ok)
			}()
			b.want("another waits", said(), "")
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			b.want("the queue is closed", said(), "false ")
			b.want("put into a closed queue", b.Put(b.recordIn(0)), false)
			_, ok := b.Next(t.Context(), 1, OldestFirst)
			b.want("out of a closed queue", ok, false)
			lost := []string{"shutdown 2", "shutdown 4"}
			if f != nil {
				lost = lost[1:]
			}
			b.want("lost", b.lost, lost)
		})
	}
}

func TestBounds(t *testing.T) {
	for name, f := range map[string]durable.FS{"memory": nil, "disk": disktest.New(1)} {
		t.Run(name, func(t *testing.T) {
			b := openOn(t, f, func(o *Options) { o.MaxBytes, o.MaxMemory = 3*diskBlock, 3*diskBlock })
			big := recordOf(diskBlock - overhead)
			b.Put(big)
			b.Put(big, big)
			b.Next(t.Context(), 0, OldestFirst)
			b.Put(big)
			b.want("the oldest but the one given out goes", b.lost, []string{"queue_full 2"})
			b.Put(recordOf(4 * diskBlock))
			b.want("nothing goes for what is too big itself", b.lost, []string{"queue_full 2", "queue_full 5"})
			b.Put(big, big, big)
			b.want("left", b.nextIDs(0, OldestFirst), []int{7, 8})
			b.want("pending", b.Pending().Bytes, 3*diskBlock)
			if d, ok := f.(*disktest.Disk); ok {
				b.want("files", len(recordFiles(d)), 3)
			}
		})
	}
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0), b.recordIn(0), b.recordIn(1))
		b.Next(t.Context(), 0, OldestFirst)
		time.Sleep(time.Hour)
		b.Put(b.recordIn(1))
		b.want("at the limit", b.lost, []string{})
		time.Sleep(time.Millisecond)
		b.want("past it", b.nextIDs(0, OldestFirst), []int{})
		b.want("all but the one given out", b.lost, []string{"too_old 2", "too_old 3"})
		b.want("files", len(recordFiles(d)), 2)
		b.Ack(1)
		b.want("oldest", time.Since(b.Pending().Oldest), time.Millisecond)
	})
}

// TestEarlierRunFirst checks that records of an earlier run, which possibly had another number of shards, are sent first, unless the order
// is NewestFirst.
func TestEarlierRunFirst(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, func(o *Options) { o.Shards = 4 })
	b.Put(b.recordIn(1), b.recordIn(3), b.recordIn(2))
	b.Close()
	b = openOn(t, d, nil)
	b.want("half as many shards", b.nextIDs(1, OldestFirst), []int{1, 2})
	b.Put(b.recordIn(1), b.recordIn(0))
	b.want("new behind old", b.nextIDs(1, OldestFirst), []int{1, 2})
	b.want("and in the other shard", b.nextIDs(0, OldestFirst), []int{3})
	b.want("newest first", b.nextIDs(0, NewestFirst), []int{5, 3})
	for id := range uint64(3) {
		b.want("new while one is left", b.nextIDs(0, OldestFirst)[0] == 5, false)
		b.Ack(id + 1)
		if id == 1 {
			b.want("shard 1 waits for shard 0", b.nextIDs(1, OldestFirst), []int{})
		}
	}
	b.want("new", slices.Concat(b.nextIDs(0, OldestFirst), b.nextIDs(1, OldestFirst)), []int{5, 4})
}

// TestEarlierRunEnds checks that Next returns as soon as the last record of an earlier run is acknowledged.
func TestEarlierRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0))
		b.Close()
		b = openOn(t, d, nil)
		b.Put(b.recordIn(1))
		got := make(chan uint64, 1)
		go func() {
			r, _ := b.Next(t.Context(), 1, OldestFirst)
			got <- r.ID
		}()
		synctest.Wait()
		b.want("given while an earlier record is left", len(got), 0)
		b.Ack(1)
		synctest.Wait()
		b.want("given then", len(got), 1)
	})
}

// recordFiles returns the files that hold records or parts of them.
func recordFiles(d *disktest.Disk) []string {
	return slices.DeleteFunc(d.Names(), func(name string) bool { return !strings.Contains(name, suffix) })
}

// failing fails all operations of a kind.
func failing(kind string, err error) func(disktest.Op) error {
	return func(op disktest.Op) error {
		if op.Kind == kind {
			return err
		}
		return nil
	}
}

// TestTakeOver checks that a queue sends what another queue could not keep: after its own records of earlier processes, before new ones of
// any shard, and with the age and samples that they had.
func TestTakeOver(t *testing.T) {
	for _, blocked := range []bool{false, true} { // the directory can be opened only after the start
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1)
			b := openOn(t, d, nil)
			b.Put(b.recordIn(0))
			d.Fail = failing("create", syscall.ENOSPC)
			b.Put(b.recordIn(1), b.recordIn(0))
			time.Sleep(10 * time.Minute)
			left, err := b.CloseAndTake()
			b.want("left", fmt.Sprint(len(left), left[0].Shard, left[1].Shard, err), "2 1 0 <nil>")
			b.want("pending", b.Pending().Records, 1)
			b.want("lost", b.lost, []string{})

			if d.Fail = nil; blocked {
				d.Fail = failing("lock", syscall.EIO)
			}
			next := &harness{T: t}
			next.Queue = newQueue(d, next.options(func(o *Options) { o.Shards = 3 }))
			next.saving.Lock()
			next.tryOpen()
			next.saving.Unlock()
			next.TakeOver(left)
			next.Put(next.recordIn(2))
			d.Fail = nil
			time.Sleep(openPause)
			next.Put(next.recordIn(2))
			done, cancel := context.WithCancel(t.Context())
			cancel()
			_, ok := next.Next(done, 2, OldestFirst)
			next.want("a new one before those taken over", ok, false)
			for i, shard := range []int{0, 1, 0} {
				r, _ := next.Next(done, shard, OldestFirst)
				next.want("the next", fmt.Sprint(r.ID, r.Shard, r.Samples, r.Age > 10*time.Minute, r.Again), fmt.Sprint(i+1, shard, 10, true, true))
				next.Ack(r.ID)
			}
			r, _ := next.Next(done, 2, OldestFirst)
			next.want("a new one", fmt.Sprint(r.ID, r.Age < time.Minute, r.Again), "4 true false")
			next.Ack(r.ID)
			next.want("left on disk", len(recordFiles(d)), 1)
		})
	}
}

// TestFullDisk checks that records wait in memory, in their order, while the disk fails. They are written when the disk works again.
func TestFullDisk(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, func(o *Options) { o.MaxMemory = 2 * 300 })
	b.Put(b.recordIn(0))
	d.Fail = failing("write", syscall.ENOSPC)
	b.want("durable", b.Put(b.recordIn(0)), false)
	_, fault := b.Health()
	b.want("durable", b.Put(b.recordIn(0)), false)
	if _, still := b.Health(); !errors.Is(still.Err, syscall.ENOSPC) || still != fault {
		t.Errorf("the fault is %v, then %v", fault, still)
	}
	b.want("order", b.nextIDs(0, OldestFirst), []int{1, 2, 3})
	b.Put(b.recordIn(0))
	b.want("past the bound of memory", b.lost, []string{"queue_full 2"})
	d.Fail = nil
	b.want("durable", b.Put(b.recordIn(0)), true)
	_, fault = b.Health()
	b.want("fault", fault, Fault{})
	b.want("order", b.nextIDs(0, OldestFirst), []int{1, 3, 4, 5})
	b.want("files", len(recordFiles(d)), 4)
	if n, text := strings.Count(b.log.String(), "\n"), b.log.String(); n != 2 || !strings.Contains(text, "disk fails") ||
		!strings.Contains(text, "no space left") || !strings.Contains(text, "works again") {
		t.Errorf("logged:\n%s", text)
	}
}

// TestReadOnlyDisk checks that, while the disk fails, old records are dropped only to make room for a single group (see maxGroup).
func TestReadOnlyDisk(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, func(o *Options) { o.MaxBytes = 10 * diskBlock })
	for range 10 {
		b.Put(b.recordIn(0))
	}
	d.Fail = failing("create", syscall.EROFS)
	for range 20 {
		b.Put(b.recordIn(0))
	}
	b.want("lost", b.lost, []string{"queue_full 1"})
	d.Fail = nil
	b.Put()
	b.want("lost once it works", len(b.lost), 20)
	b.want("left", b.nextIDs(0, OldestFirst)[0], 21)
}

// TestSettledBesideFailure acknowledges a record whose file could not be written. It checks that no file is left.
func TestSettledBesideFailure(t *testing.T) {
	for _, kind := range []string{"write", "sync", "rename", "syncdir"} {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		d.Fail = failing(kind, syscall.EIO)
		b.Put(b.recordIn(0), b.recordIn(1))
		for id := range uint64(2) {
			b.Next(t.Context(), int(id), OldestFirst)
			b.Ack(id + 1)
		}
		b.want("files after "+kind, recordFiles(d), []string{})
	}
}

// TestUnsyncedName checks that a record is durable only after its name was synced.
func TestUnsyncedName(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, nil)
	d.Fail = failing("syncdir", syscall.EIO)
	b.want("durable", b.Put(b.recordIn(0)), false)
	d.Fail = nil
	b.want("durable", b.Put(), true)
	b.want("names are synced", d.Synced(), true)
}

// TestCloseBesideFailure checks a record whose file name could not be synced. Close neither counts the record as lost nor removes it, since
// its file most likely exists.
func TestCloseBesideFailure(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, nil)
	d.Fail = failing("syncdir", syscall.EIO)
	b.want("durable", b.Put(b.recordIn(0)), false)
	b.Close()
	b.want("lost", b.lost, []string{})
	d.Fail = nil
	b = openOn(t, d, nil)
	b.want("found", b.nextIDs(0, OldestFirst), []int{1})
	d.Fail = failing("create", syscall.EIO)
	b.Put(b.recordIn(0))
	b.Close()
	b.want("lost", b.lost, []string{"shutdown 2"})
}

// TestCloseBesideNext checks that a record is not counted as damaged if the queue is closed while the record is being read.
func TestCloseBesideNext(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, nil)
	b.Put(b.recordIn(0))
	d.Fail = func(op disktest.Op) error {
		if op.Kind == "read" {
			b.Close()
			return fs.ErrClosed
		}
		return nil
	}
	_, ok := b.Next(t.Context(), 0, OldestFirst)
	b.want("given, lost", fmt.Sprint(ok, b.lost, len(recordFiles(d))), "false [] 1")
}

// TestUnremovable checks a file that cannot be removed. The removal is tried again, and the failure is logged once.
func TestUnremovable(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, func(o *Options) { o.MaxBytes = 2 * diskBlock })
	d.Fail = func(op disktest.Op) error {
		if op.Kind == "remove" && strings.Contains(op.Name, "001.") {
			return syscall.EPERM
		}
		return nil
	}
	for range 5 {
		b.want("durable", b.Put(b.recordIn(0)), true)
	}
	b.want("lost", b.lost, []string{"queue_full 1", "queue_full 2", "queue_full 3"})
	b.want("lines logged", strings.Count(b.log.String(), "\n"), 1)
	d.Fail = nil
	b.Put()
	b.want("files", len(recordFiles(d)), 2)
}

// TestNoFileDescriptors checks that a record waits, and is not damaged, while the process cannot open its file.
func TestNoFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		b := openOn(t, d, nil)
		b.Put(b.recordIn(0))
		until := time.Now().Add(time.Minute)
		d.Fail = func(op disktest.Op) error {
			if op.Kind == "read" && time.Now().Before(until) {
				return syscall.EMFILE
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, ok := b.Next(ctx, 0, OldestFirst); ok || time.Since(until) > 0 {
			t.Error("the record was read")
		}
		r, ok := b.Next(t.Context(), 0, OldestFirst)
		b.want("read, after", fmt.Sprint(ok, r.ID, time.Since(until)), "true 1 0s")
		b.want("lost", b.lost, []string{})
	})
}

// TestConcurrency reads several shards while records are put. It checks that each record comes once, and that the records of each shard
// come in order.
func TestConcurrency(t *testing.T) {
	const n = 300
	dir := t.TempDir()
	b := openIn(t, dir)
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for shard := range 2 {
		all.Go(func() {
			last, count := uint64(0), 0
			for count < n {
				r, ok := b.Next(ctx, shard, OldestFirst)
				switch {
				case !ok || r.ID <= last || r.Shard != shard:
					t.Errorf("shard %d: record %d of shard %d after %d", shard, r.ID, r.Shard, last)
					return
				case r.ID%5 == 0 && last != r.ID-1:
					last = r.ID - 1
					b.Return(r.ID)
				default:
					last = r.ID
					count++
					b.Ack(r.ID)
				}
				b.Pending()
			}
		})
	}
	for range n / 10 {
		var group []Record
		for i := range 20 {
			group = append(group, b.recordIn(i%2))
		}
		b.Put(group...)
	}
	all.Wait()
	cancel()
	if p := b.Pending(); p != (Pending{}) {
		t.Errorf("left: %+v", p)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix+"*"))
	b.want("files left", fmt.Sprint(names, err), "[] <nil>")
}

// TestAgain checks which records are marked as perhaps sent before. These are the records of an earlier run, also if More returns them, and
// the records that were put with this mark.
func TestAgain(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, nil)
	b.Put(b.recordIn(0), b.recordIn(0))
	b.Close()
	b = openOn(t, d, nil)
	repeated := b.recordIn(1)
	repeated.Again = true
	b.Put(repeated, b.recordIn(1))
	got := map[uint64]bool{}
	all := func(Meta) bool { return true }
	for range 2 {
		for shard := range 2 {
			done, cancel := context.WithCancel(t.Context())
			cancel()
			first, ok := b.Next(done, shard, OldestFirst)
			if !ok {
				continue
			}
			records := []Record{first}
			if second, ok := b.More(shard, OldestFirst, all); ok {
				records = append(records, second)
			}
			for _, r := range records {
				got[r.ID] = r.Again
				b.Ack(r.ID)
			}
		}
	}
	b.want("again by ID", got, map[uint64]bool{1: true, 2: true, 3: true, 4: false})
}
