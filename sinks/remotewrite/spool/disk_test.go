package spool

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
)

// disk is a simulated file system that fails and loses power. What is not synced may be lost: of a file's content any
// part, of the changes of names any.
type disk struct {
	dice *rand.Rand

	mu      sync.Mutex
	names   map[string]*inode // as the process sees them
	durable map[string]*inode // as of the last sync, and changes since
	changes []func(names map[string]*inode)
	locked  bool

	ops  int // so far
	stop int // the power goes at this op; 0 = never
	// fail says how an op ends, nil where it does what it should.
	fail func(op int, what, name string) error
}

type inode struct {
	data   []byte
	synced int // length of data that is safe
}

// powerCut is what a disk panics with.
type powerCut struct{}

func newDisk(seed uint64) *disk {
	return &disk{dice: rand.New(rand.NewPCG(seed, 0)), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// do is one op: nothing of it has happened where it panics or fails.
func (d *disk) do(what, name string, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops++
	if d.ops == d.stop {
		panic(powerCut{})
	}
	if d.fail != nil {
		if err := d.fail(d.ops, what, name); err != nil {
			return &fs.PathError{Op: what, Path: name, Err: err}
		}
	}
	return f()
}

// change changes names at once, and maybe durably.
func (d *disk) change(f func(names map[string]*inode)) {
	f(d.names)
	d.changes = append(d.changes, f)
}

// reboot is the disk after the process has been killed, or after a power cut.
func (d *disk) reboot(power bool) {
	d.locked, d.stop, d.ops = false, 0, 0
	if !power {
		return
	}
	for _, change := range d.changes {
		if d.dice.IntN(2) == 0 {
			change(d.durable)
		}
	}
	d.changes = nil
	d.names = maps.Clone(d.durable)
	for _, i := range d.names {
		if torn := len(i.data) - i.synced; torn > 0 {
			i.data = i.data[:i.synced+d.dice.IntN(torn+1)]
			if d.dice.IntN(2) == 0 {
				clear(i.data[i.synced:]) // blocks that were given to the file but never written
			}
		}
		i.synced = len(i.data)
	}
}

func (d *disk) Lock() error {
	return d.do("lock", "", func() error {
		if d.locked {
			return errors.New("process 1 has it")
		}
		d.locked = true
		return nil
	})
}

func (d *disk) Close() error {
	d.locked = false
	return nil
}

func (d *disk) ReadDir(dir string) (names []string, err error) {
	err = d.do("readdir", dir, func() error {
		for name := range d.names {
			if path.Dir(name) == dir {
				names = append(names, path.Base(name))
			}
		}
		slices.Sort(names)
		return nil
	})
	return names, err
}

func (d *disk) Mkdir(name string) error { return d.do("mkdir", name, func() error { return nil }) }

func (d *disk) Create(name string) (file, error) {
	i := &inode{}
	err := d.do("create", name, func() error {
		d.change(func(names map[string]*inode) { names[name] = i })
		return nil
	})
	return &openFile{d, name, i}, err
}

func (d *disk) ReadFile(name string, limit int) (data []byte, err error) {
	err = d.do("read", name, func() error {
		i := d.names[name]
		if i == nil {
			return fs.ErrNotExist
		}
		data = slices.Clone(i.data[:min(limit, len(i.data))])
		return nil
	})
	return data, err
}

func (d *disk) Rename(from, to string) error {
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

func (d *disk) Remove(name string) error {
	return d.do("remove", name, func() error {
		if d.names[name] == nil {
			return fs.ErrNotExist
		}
		d.change(func(names map[string]*inode) { delete(names, name) })
		return nil
	})
}

func (d *disk) SyncDir() error {
	return d.do("syncdir", ".", func() error {
		d.durable = maps.Clone(d.names)
		d.changes = nil
		return nil
	})
}

// records is the files that hold records or parts of them.
func (d *disk) records() (names []string) {
	for name := range d.names {
		if strings.Contains(name, suffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type openFile struct {
	disk *disk
	name string
	*inode
}

// Write writes a part where it fails.
func (f *openFile) Write(data []byte) (int, error) {
	n := len(data)
	err := f.disk.do("write", f.name, func() error { return nil })
	if err != nil {
		n = f.disk.dice.IntN(n)
	}
	f.data = append(f.data, data[:n]...)
	return n, err
}

func (f *openFile) Sync() error {
	return f.disk.do("sync", f.name, func() error {
		f.synced = len(f.data)
		return nil
	})
}

func (f *openFile) Close() error { return f.disk.do("close", f.name, func() error { return nil }) }
