// Package disktest simulates a disk, for tests of code that uses the interfaces of package durable. At any operation on the disk,
// the process can be killed or the power can fail. The disk can also fail, be full, be read-only or be slow. A power cut loses some
// of the data that was not synced.
//
// A test usually runs the code under test once for each operation at which it can stop:
//
//	for stop := 1; ; stop++ {
//		disk := disktest.New(uint64(stop))
//		survived := disk.Run(stop, func() { … })
//		disk.Reboot(disktest.PowerCut)
//		… // open again, and check what is there
//		if survived {
//			break
//		}
//	}
package disktest

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// Op is one operation on a disk.
type Op struct {
	Number int    // number of the operation, from 1
	Kind   string // lock, mkdir, readdir, read, create, append, write, truncate, sync, close, rename, link, remove or syncdir
	Name   string // name of the file; for rename and link the old name
}

// Disk is a simulated directory. It implements durable.FS and is safe for concurrent use. Set its fields only while no operation is
// running, or in Change.
type Disk struct {
	// Fail returns the error with which an operation fails, or nil. The function Fail is allowed to use the disk. A write that fails has
	// written a part of the data.
	Fail func(Op) error
	// Capacity is the size of the disk in bytes. If it is exceeded, a write fails with ENOSPC. 0 = no limit.
	Capacity int
	// ReadOnly makes each operation that would change something fail with EROFS.
	ReadOnly bool
	// Delay is the duration of each operation.
	Delay time.Duration

	mu      sync.Mutex
	dice    *rand.Rand
	names   map[string]*inode // the names as processes see them
	durable map[string]*inode // the names after the last SyncDir
	changes []change          // changes of names since the last SyncDir
	boots   int               // number of reboots
	locked  map[string]bool
	ops     int  // number of operations so far
	stop    int  // the operation at which the process ends; 0 = never
	ended   bool // an operation has failed with ErrEnded
}

// change is a change of names, as a function that applies it.
type change func(names map[string]*inode)

// New returns an empty disk. The seed determines what the disk loses in a power cut.
func New(seed uint64) *Disk {
	return &Disk{
		dice:  rand.New(rand.NewPCG(seed, 0)),
		names: map[string]*inode{}, durable: map[string]*inode{}, locked: map[string]bool{},
	}
}

// Crash is the way in which a process ends.
type Crash bool

// ErrEnded simulates the end of a process whose goroutines Run cannot end. The function Fail of a test returns ErrEnded for one operation
// and all later ones. The first of these operations may be done in part; the others have no effect.
var ErrEnded = errors.New("the process has ended")

// Killed keeps all data that the process has written, even if it is not synced. PowerCut loses a part of the data that is not
// synced.
const (
	Killed   Crash = false
	PowerCut Crash = true
)

// stopped is the value with which an operation panics to end the process.
type stopped struct{}

// Run calls f, and ends it at the operation with the number stop, counted from the start of f. It reports whether f returned before this
// operation.
func (d *Disk) Run(stop int, f func()) (survived bool) {
	d.mu.Lock()
	d.stop = d.ops + stop
	d.mu.Unlock()
	defer func() {
		if r := recover(); r != nil && r != (stopped{}) {
			panic(r)
		}
	}()
	f()
	return true
}

// Reboot ends the process. This releases its locks and invalidates its open files.
func (d *Disk) Reboot(how Crash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boots++
	d.stop, d.ended = 0, false
	clear(d.locked)
	if how == Killed {
		return
	}
	for _, change := range d.changes { // the changes of a directory may reach the disk in any order
		if d.dice.IntN(2) == 0 {
			change(d.durable)
		}
	}
	d.changes, d.names = nil, maps.Clone(d.durable)
	for _, name := range slices.Sorted(maps.Keys(d.names)) { // sorted, so that the seed determines the result
		d.names[name].losePower(d.dice)
	}
}

// Change calls f. This function is allowed to set fields of the disk while the disk is in use.
func (d *Disk) Change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Ops returns the number of operations so far.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Names returns the names of all files, including files in subdirectories, sorted.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names))
}

// Content returns the content of a file, or nil if there is no such file. It does not count as an operation.
func (d *Disk) Content(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := d.names[name]; i != nil {
		return slices.Clone(i.data)
	}
	return nil
}

// Put puts a file on the disk durably. It does not count as an operation.
func (d *Disk) Put(name string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := &inode{data: slices.Clone(content), synced: slices.Clone(content)}
	d.names[name], d.durable[name] = i, i
}

// Synced reports whether all changes of names are durable.
func (d *Disk) Synced() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.changes) == 0
}

// do simulates one operation by calling f. If the operation fails or the process ends at it, f is not called.
func (d *Disk) do(kind, name string, f func() error) error {
	d.mu.Lock()
	delay := d.Delay
	d.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	d.mu.Lock()
	d.ops++
	op := Op{d.ops, kind, name}
	if d.ops == d.stop {
		d.mu.Unlock()
		panic(stopped{})
	}
	fail, readOnly := d.Fail, d.ReadOnly
	d.mu.Unlock()
	err := failure(op, fail, readOnly)
	if errors.Is(err, ErrEnded) && kind != "write" {
		d.mu.Lock()
		d.ended = true
		d.mu.Unlock()
	}
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		err = f()
	}
	if err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

func failure(op Op, fail func(Op) error, readOnly bool) error {
	if fail != nil {
		if err := fail(op); err != nil {
			return err
		}
	}
	if readOnly && slices.Contains([]string{"mkdir", "create", "append", "write", "truncate", "rename", "link", "remove"}, op.Kind) {
		return syscall.EROFS
	}
	return nil
}

// room returns the number of free bytes.
func (d *Disk) room() int {
	if d.Capacity == 0 {
		return math.MaxInt
	}
	room := d.Capacity
	seen := map[*inode]bool{}
	for _, i := range d.names {
		if !seen[i] {
			room -= len(i.data)
		}
		seen[i] = true
	}
	return max(room, 0)
}

func (d *Disk) change(c change) {
	c(d.names)
	d.changes = append(d.changes, c)
}

// Lock locks a file. If the file is locked already, the error is a *durable.HeldError.
func (d *Disk) Lock(name string) error {
	held := false
	err := d.do("lock", name, func() error {
		held = d.locked[name]
		d.locked[name] = true
		return nil
	})
	if held {
		return &durable.HeldError{PID: 1}
	}
	return err
}

// Unlock unlocks all files. It does not count as an operation.
func (d *Disk) Unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.locked)
	return nil
}

// Mkdir does nothing: all directories exist.
func (d *Disk) Mkdir(name string) error { return d.do("mkdir", name, func() error { return nil }) }

// ReadDir returns the names of the files in a directory, sorted.
func (d *Disk) ReadDir(dir string) (names []string, err error) {
	err = d.do("readdir", dir, func() error {
		for _, name := range slices.Sorted(maps.Keys(d.names)) {
			if path.Dir(name) == dir {
				names = append(names, path.Base(name))
			}
		}
		return nil
	})
	return names, err
}

// EachName calls the function "each" once for every file in a directory, with the file's name, in reverse order. Disk counts a call of
// EachName as an operation of the kind readdir.
func (d *Disk) EachName(dir string, each func(name []byte)) error {
	names, err := d.ReadDir(dir)
	for _, name := range slices.Backward(names) {
		each([]byte(name))
	}
	return err
}

// ReadFile returns the first limit bytes of a file.
func (d *Disk) ReadFile(name string, limit int64) (data []byte, err error) {
	err = d.do("read", name, func() error {
		i := d.names[name]
		if i == nil {
			return fs.ErrNotExist
		}
		data = slices.Clone(i.data[:min(limit, int64(len(i.data)))])
		return nil
	})
	return data, err
}

// Create creates an empty file, or truncates an existing one.
func (d *Disk) Create(name string) (durable.File, error) { return d.open("create", name) }

// Append opens a file for appending.
func (d *Disk) Append(name string) (durable.File, error) { return d.open("append", name) }

func (d *Disk) open(kind, name string) (durable.File, error) {
	f := &file{disk: d, name: name}
	err := d.do(kind, name, func() error {
		f.boot = d.boots
		f.inode = d.names[name]
		if f.inode == nil {
			f.inode = &inode{}
			d.change(func(names map[string]*inode) { names[name] = f.inode })
		}
		if kind == "create" {
			f.truncate(0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename gives a file another name.
func (d *Disk) Rename(from, to string) error {
	return d.do("rename", from, func() error {
		i := d.names[from]
		if i == nil {
			return fs.ErrNotExist
		}
		d.change(func(names map[string]*inode) {
			delete(names, from)
			names[to] = i
		})
		return nil
	})
}

// Link gives a file a second name.
func (d *Disk) Link(from, to string) error {
	return d.do("link", from, func() error {
		i := d.names[from]
		switch {
		case i == nil:
			return fs.ErrNotExist
		case d.names[to] != nil:
			return fs.ErrExist
		}
		d.change(func(names map[string]*inode) { names[to] = i })
		return nil
	})
}

// Remove removes a file.
func (d *Disk) Remove(name string) error {
	return d.do("remove", name, func() error {
		if d.names[name] == nil {
			return fs.ErrNotExist
		}
		d.change(func(names map[string]*inode) { delete(names, name) })
		return nil
	})
}

// SyncDir makes all changes of names durable.
func (d *Disk) SyncDir() error {
	return d.do("syncdir", ".", func() error {
		d.durable, d.changes = maps.Clone(d.names), nil
		return nil
	})
}

// inode is the content of a file.
type inode struct {
	data    []byte // the content as processes see it
	synced  []byte // the content at the last Sync
	pending []edit // changes since the last Sync
}

// edit is a write, which appends, or a truncation.
type edit struct {
	appended []byte
	size     int  // new size, for a truncation
	lost     bool // a Sync has failed after the edit, so later calls of Sync do not write the edit either
}

func (e edit) apply(data []byte) []byte {
	if e.appended != nil {
		return append(data, e.appended...)
	}
	return append(data, make([]byte, max(0, e.size-len(data)))...)[:e.size]
}

// store applies the edit in the way in which the disk stores it. Lost data becomes zeros.
func (e edit) store(data []byte) []byte {
	if e.lost && e.appended != nil {
		e.appended = make([]byte, len(e.appended))
	}
	return e.apply(data)
}

func (i *inode) edit(e edit) {
	i.data = e.apply(i.data)
	i.pending = append(i.pending, e)
}

func (i *inode) append(data []byte) {
	if len(data) > 0 {
		i.edit(edit{appended: slices.Clone(data)})
	}
}

func (i *inode) truncate(size int) {
	if size != len(i.data) {
		i.edit(edit{size: size})
	}
}

func (i *inode) sync() {
	for _, e := range i.pending {
		i.synced = e.store(i.synced)
	}
	i.pending = nil
}

// failSync simulates a failed Sync on Linux: some of the data that was not on disk is lost, although processes can still read it.
func (i *inode) failSync(dice *rand.Rand) {
	for n := range i.pending {
		i.pending[n].lost = i.pending[n].lost || dice.IntN(2) == 0
	}
}

// losePower keeps the data that was synced, and the first few edits that followed. The last edit that it keeps may be incomplete. Bytes
// that were not synced may become zero, as in a file system that has allocated space for data but not written the data.
func (i *inode) losePower(dice *rand.Rand) {
	data, safe := slices.Clone(i.synced), len(i.synced)
	kept := i.pending[:dice.IntN(len(i.pending)+1)]
	for n, e := range kept {
		data = e.store(data)
		if n == len(kept)-1 {
			data = data[:len(data)-dice.IntN(len(e.appended)+1)]
		}
		safe = min(safe, len(data))
		if e.appended == nil {
			safe = min(safe, e.size)
		}
	}
	if unsynced := data[safe:]; len(unsynced) > 0 && dice.IntN(2) == 0 {
		from := dice.IntN(len(unsynced))
		clear(unsynced[from : from+1+dice.IntN(len(unsynced)-from)])
	}
	i.data, i.synced, i.pending = data, slices.Clone(data), nil
}

// file is an open file.
type file struct {
	disk *Disk
	name string
	boot int // number of the reboot after which the file was opened
	*inode
}

func (f *file) do(kind string, op func() error) error {
	return f.disk.do(kind, f.name, func() error {
		if f.boot != f.disk.boots {
			return fs.ErrClosed
		}
		return op()
	})
}

// Write appends data to the file. If it fails, or the process ends at it, only a part of the data is written.
func (f *file) Write(data []byte) (n int, err error) {
	defer func() {
		if err == nil && n == len(data) {
			return
		}
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		if f.boot == f.disk.boots && len(data) > 0 && !f.disk.ended {
			f.disk.ended = errors.Is(err, ErrEnded)
			n = min(f.disk.dice.IntN(len(data)), f.disk.room())
			f.append(data[:n])
		}
	}()
	err = f.do("write", func() error {
		if len(data) > f.disk.room() {
			return syscall.ENOSPC
		}
		f.append(data)
		n = len(data)
		return nil
	})
	return n, err
}

// Truncate cuts the file to a size, or appends zeros up to this size.
func (f *file) Truncate(size int64) error {
	return f.do("truncate", func() error {
		f.truncate(int(size))
		return nil
	})
}

// Sync makes the content durable. After a failed Sync, a later Sync can succeed although data that was written before is lost.
func (f *file) Sync() error {
	err := f.do("sync", func() error {
		f.sync()
		return nil
	})
	if err != nil && !errors.Is(err, ErrEnded) {
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		f.failSync(f.disk.dice)
	}
	return err
}

// Close closes the file. It does not sync it.
func (f *file) Close() error { return f.do("close", func() error { return nil }) }
