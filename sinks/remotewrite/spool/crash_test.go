package spool

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable/disktest"
)

// history has a queue on a simulated disk, and knows what was done with the queue's records.
type history struct {
	*testing.T
	disk  *disktest.Disk
	queue *Queue
	log   bytes.Buffer

	puts    int            // number of records so far; the payload of each is its number
	shard   map[string]int // shard of each record
	fate    map[string]fate
	reasons map[Reason]int
}

type fate uint8

const (
	putting fate = iota // Put has not returned
	inMemory
	onDisk
	acking // Ack has not returned
	acked
	dropped
)

func newHistory(t *testing.T, d *disktest.Disk) *history {
	return &history{T: t, disk: d, shard: map[string]int{}, fate: map[string]fate{}, reasons: map[Reason]int{}}
}

func (p *history) options() Options {
	return Options{
		Shards: 2, MaxBytes: 1 << 30, MaxMemory: 1 << 30, MaxAge: time.Hour,
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
		Dropped: func(reason Reason, m Meta) {
			p.reasons[reason]++
			p.fate[fmt.Sprint(m.Samples)] = dropped
		},
	}
}

func (p *history) open() {
	p.Helper()
	p.queue = newQueue(p.disk, p.options())
	p.queue.saving.Lock()
	defer p.queue.saving.Unlock()
	p.queue.tryOpen()
}

// put puts n records. The number of samples in record i is i.
func (p *history) put(n int, dice *rand.Rand) {
	var records []Record
	for range n {
		p.puts++
		name := fmt.Sprint(p.puts)
		m := Meta{Shard: dice.IntN(2), Samples: p.puts}
		records = append(records, Record{Meta: m, Payload: []byte(name)})
		p.shard[name], p.fate[name] = m.Shard, putting
	}
	p.queue.tryAgain = time.Time{}
	safe := p.queue.Put(records...)
	for name, f := range p.fate {
		if f == putting || safe && f == inMemory {
			p.fate[name] = inMemory
			if safe {
				p.fate[name] = onDisk
			}
		}
	}
}

// next returns the first record of a shard, if there is one.
func (p *history) next(shard int) (Record, bool) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return p.queue.Next(done, shard, OldestFirst)
}

func (p *history) ack(r Record) {
	p.fate[string(r.Payload)] = acking
	p.queue.Ack(r.ID)
	p.fate[string(r.Payload)] = acked
}

// act does random steps.
func (p *history) act(dice *rand.Rand, steps int) {
	for range steps {
		switch dice.IntN(9) {
		case 0, 1, 2:
			p.put(1+dice.IntN(4), dice)
		case 3, 4, 5:
			if r, ok := p.next(dice.IntN(2)); ok {
				p.ack(r)
			}
		case 6:
			if r, ok := p.next(dice.IntN(2)); ok {
				p.queue.Return(r.ID)
			}
		case 7:
			// The queue is not closed while the disk fails: records in memory would be lost, and files that could not be removed would come
			// back.
			if p.queue.Put(); p.queue.index.memory == 0 && p.queue.failing.Err == nil {
				if err := p.queue.Close(); err != nil {
					p.Error(err)
				}
				p.open()
			}
		case 8: // the directory is perhaps opened after Next has returned the record and before Ack
			r, ok := p.next(dice.IntN(2))
			p.put(1, dice)
			if ok {
				p.ack(r)
			}
		}
		p.balance()
	}
}

func (p *history) count(of ...fate) (n int) {
	for _, f := range p.fate {
		if slices.Contains(of, f) {
			n++
		}
	}
	return n
}

// balance checks that each record that was put is acknowledged, pending or dropped. As long as the directory is not open, the records of an
// earlier run are not known.
func (p *history) balance() {
	p.Helper()
	if !p.queue.open {
		return
	}
	if got, want := p.queue.Pending().Records, p.puts-p.count(acked, dropped); got != want {
		p.Errorf("%d records are pending, want %d", got, want)
	}
}

// drain acknowledges all records. It checks that each record is whole, comes once, and comes in order.
func (p *history) drain() map[string]bool {
	p.Helper()
	seen := map[string]bool{}
	before := p.queue.Pending().Records
	for progress := true; progress; {
		progress = false
		for shard := range 2 {
			last := 0
			for r, ok := p.next(shard); ok; r, ok = p.next(shard) {
				name := string(r.Payload)
				if _, known := p.fate[name]; !known || fmt.Sprint(r.Samples) != name || p.shard[name] != shard {
					p.Fatalf("record %q of shard %d was never put", name, shard)
				}
				if seen[name] || r.Samples <= last {
					p.Errorf("record %s came twice, or behind %d", name, last)
				}
				seen[name], last, progress = true, r.Samples, true
				p.queue.Ack(r.ID)
			}
		}
	}
	if len(seen)+p.reasons[Damaged] < before {
		p.Errorf("%d records were pending, %d came", before, len(seen))
	}
	return seen
}

// TestCrash kills the process, or cuts the power, at each operation. Afterwards, the records that Put has reported as durable must be
// there, whole and in order. Records that were acknowledged must not be there.
func TestCrash(t *testing.T) {
	for _, how := range []disktest.Crash{disktest.PowerCut, disktest.Killed} {
		for seed := range uint64(2) {
			for stop := 1; ; stop++ {
				d := disktest.New(seed<<32 + uint64(stop))
				p := newHistory(t, d)
				p.open()
				survived := d.Run(stop, func() { p.act(rand.New(rand.NewPCG(seed, 1)), 30) })
				p.afterCrash(how)
				if t.Failed() {
					t.Fatalf("seed %d, operation %d, power cut %t", seed, stop, how)
				}
				if survived {
					break
				}
			}
		}
	}
}

func (p *history) afterCrash(how disktest.Crash) {
	p.disk.Reboot(how)
	p.open()
	seen := p.drain()
	for name, f := range p.fate {
		switch {
		case f == onDisk && !seen[name]:
			p.Errorf("record %s is lost", name)
		case f == acked && seen[name]:
			p.Errorf("record %s has come back", name)
		case f == inMemory:
			p.Errorf("record %s was not put on disk", name)
		}
	}
	if p.count(dropped) > 0 {
		p.Errorf("dropped %v:\n%s", p.reasons, &p.log)
	}
	if left := recordFiles(p.disk); len(left) > 0 {
		p.Errorf("files are left behind: %q", left)
	}
}

// TestDiskFails lets the disk fail for some operations. No record must be lost while the process runs. After a power cut, the records that
// Put has reported as durable must still be there.
func TestDiskFails(t *testing.T) {
	for seed := range uint64(600) {
		dice := rand.New(rand.NewPCG(seed, 2))
		from, length := 1+dice.IntN(120), 1+dice.IntN(1<<dice.IntN(8))
		errno := []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO}[seed%3]
		d := disktest.New(seed)
		p := newHistory(t, d)
		if seed%5 == 0 {
			from = 1 + dice.IntN(4) // the directory cannot be opened
		}
		d.Fail = func(op disktest.Op) error {
			if op.Number < from || op.Number >= from+length {
				return nil
			}
			return errno
		}
		p.open()
		crash, stop := seed%2 == 0, 1<<30
		if crash {
			stop = from + 1 + dice.IntN(length+20)
		}
		d.Run(stop, func() { p.act(dice, 60) })
		if crash { // whether or not the disk fails at that moment
			safe := map[string]bool{}
			for name, f := range p.fate {
				safe[name] = f == onDisk
			}
			d.Fail = nil
			d.Reboot(disktest.PowerCut)
			p.open()
			seen := p.drain()
			for name := range safe {
				if safe[name] && !seen[name] {
					t.Errorf("record %s is lost", name)
				}
			}
		} else {
			d.Fail = nil
			p.put(1, dice)
			if n := p.count(inMemory); n > 0 {
				t.Errorf("%d records are not on disk though it works again", n)
			}
			seen := p.drain()
			if len(seen)+p.count(acked) != p.puts {
				t.Errorf("%d records were put, %d acknowledged, %d came", p.puts, p.count(acked), len(seen))
			}
			if left := recordFiles(d); len(left) > 0 {
				t.Errorf("files are left behind: %q", left)
			}
			if p.queue.failing.Err != nil {
				t.Error("the disk works, and the queue says that it does not")
			}
		}
		if p.count(dropped) > 0 || t.Failed() {
			t.Fatalf("seed %d, ops %d to %d: dropped %v\n%s", seed, from, from+length, p.reasons, &p.log)
		}
	}
}
