package spool

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/durable/disktest"
)

// model does what a queue with one shard must do, in the simplest way.
type model struct {
	all  []uint64 // IDs of all records, sorted
	out  map[uint64]bool
	last uint64 // highest ID of an earlier process
}

// next returns the ID of the next record, or 0.
func (m *model) next(order Order) uint64 {
	waiting := slices.DeleteFunc(slices.Clone(m.all), func(id uint64) bool { return m.out[id] })
	switch {
	case len(waiting) == 0:
		return 0
	case order == NewestFirst:
		return waiting[len(waiting)-1]
	case waiting[0] > m.last && m.all[0] <= m.last: // an earlier record is being sent
		return 0
	}
	return waiting[0]
}

func (m *model) remove(id uint64) {
	m.all = slices.DeleteFunc(m.all, func(other uint64) bool { return other == id })
	delete(m.out, id)
}

// some returns an ID for which the function is true, or 0.
func (m *model) some(r *rand.Rand, is func(id uint64) bool) uint64 {
	fit := slices.DeleteFunc(slices.Clone(m.all), func(id uint64) bool { return !is(id) })
	if len(fit) == 0 {
		return 0
	}
	return fit[r.IntN(len(fit))]
}

// TestBacklog does random things with a queue that has records of an earlier process, and takes these records from both ends.
func TestBacklog(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tryBacklog(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func tryBacklog(t *testing.T, r *rand.Rand) {
	d := disktest.New(1)
	one := func(o *Options) { o.Shards = 1 }
	b := openOn(t, d, one)
	m := model{out: map[uint64]bool{}, last: uint64(1 + r.IntN(70))}
	for id := range m.last {
		b.Put(recordOf(10))
		m.all = append(m.all, id+1)
	}
	b.Close()
	b = openOn(t, d, one)
	newest := m.last
	for range 300 {
		switch n := r.IntN(10); {
		case n < 5:
			order := Order(r.IntN(2))
			want := m.next(order)
			got, ok := b.More(0, order, func(Meta) bool { return true })
			if ok != (want != 0) || got.ID != want {
				t.Fatalf("order %d: got %d, want %d of %d, %v out", order, got.ID, want, m.all, m.out)
			}
			if ok {
				m.out[want] = true
			}
		case n < 6:
			newest++
			b.Put(recordOf(10))
			m.all = append(m.all, newest)
		case n < 7 && len(m.out) > 0:
			id := m.some(r, func(id uint64) bool { return m.out[id] })
			b.Return(id)
			delete(m.out, id)
		default:
			id := m.some(r, func(id uint64) bool { return m.out[id] || r.IntN(100) == 0 }) // seldom one that Next has not returned
			b.Ack(id)
			m.remove(id)
		}
		p := b.Pending()
		b.want("pending", fmt.Sprint(p.Records, p.Samples), fmt.Sprint(len(m.all), 12*len(m.all)))
		if len(recordFiles(d)) != len(m.all) {
			t.Fatalf("files: %q, want %d", recordFiles(d), m.all)
		}
	}
	b.want("lost", b.lost, []string{})
}

// TestBacklogAges checks records of an earlier process that Next has not returned. They become too old as time passes. It makes no
// difference if the clock jumps forward. If the clock jumps back, the records are kept, since the clock may have been ahead when they were
// put.
func TestBacklogAges(t *testing.T) {
	for jump, want := range map[time.Duration]string{
		0: "[too_old 1 too_old 2] [3 4]", time.Hour: "[too_old 1 too_old 2] [3 4]", -time.Hour: "[] [1 2 3 4]",
	} {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1)
			b := openOn(t, d, nil)
			for range 4 {
				b.Put(recordOf(10))
				time.Sleep(10 * time.Minute)
			}
			b.Close()
			shift, began := time.Duration(0), time.Now()
			b = openOn(t, d, func(o *Options) {
				o.Clock = clock.Of(func() (time.Time, time.Duration) { return time.Now().Add(shift), time.Since(began) })
			})
			oldest := b.Pending().Oldest
			time.Sleep(35 * time.Minute)
			shift = jump
			b.want("change of the oldest", b.Pending().Oldest.Sub(oldest), max(0, jump))
			left := b.nextIDs(0, OldestFirst)
			b.want("lost and left", fmt.Sprint(b.lost, left), want)
			b.want("files", len(recordFiles(d)), len(left))
		})
	}
}

// TestBacklogIsFreed takes the records of a backlog from one of its ends. It checks that memory is freed before all records were taken.
func TestBacklogIsFreed(t *testing.T) {
	for _, order := range []Order{OldestFirst, NewestFirst} {
		names := listing{shards: map[int]int{}}
		for id := range uint64(1000) {
			names.add(&Meta{ID: id + 1})
		}
		x := newIndex(1)
		x.inherit(&names, 0)
		memory := weak.Make(&x.shards[0].backlog[0])
		for range 500 {
			x.remove(x.next(0, order, time.Now()))
		}
		runtime.GC()
		if memory.Value() != nil || x.records != 500 || len(x.shards[0].backlog) != 500 {
			t.Errorf("order %d: %d records, %d of them packed, and the memory of all", order, x.records, len(x.shards[0].backlog))
		}
	}
}
