package state

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
)

// disk is a simulated directory that fails and loses power. What is not synced may be lost: of a file's content any part,
// of the changes of names any.
type disk struct {
	dice    *rand.Rand
	names   map[string]*inode // as the process sees them
	durable map[string]*inode
	changes []func(names map[string]*inode) // since the last sync

	ops  int
	stop int          // the process ends at this op; 0 = never
	fail func() error // how an op ends; nil = well
	held bool         // another process has the lock
}

type inode struct {
	data   []byte
	synced int
}

// end is what a disk panics with.
type end struct{}

func newDisk(seed uint64) *disk {
	return &disk{dice: rand.New(rand.NewPCG(seed, 0)), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// do is one op: nothing of it has happened where it panics or fails.
func (d *disk) do(f func() error) error {
	d.ops++
	if d.ops == d.stop {
		panic(end{})
	}
	if d.fail != nil {
		if err := d.fail(); err != nil {
			return err
		}
	}
	return f()
}

func (d *disk) change(f func(names map[string]*inode)) {
	f(d.names)
	d.changes = append(d.changes, f)
}

// reboot is the disk after the process has been killed, or after a power cut.
func (d *disk) reboot(power bool) {
	d.stop, d.ops, d.fail = 0, 0, nil
	if !power {
		return
	}
	for _, change := range d.changes {
		if d.dice.IntN(2) == 0 {
			change(d.durable)
		}
	}
	d.changes, d.names = nil, maps.Clone(d.durable)
	for _, i := range d.names {
		if i != nil {
			i.data = i.data[:i.synced+d.dice.IntN(len(i.data)-i.synced+1)]
			i.synced = len(i.data)
		}
	}
}

func (d *disk) Lock(string) error {
	return d.do(func() error {
		if d.held {
			return ErrInUse
		}
		return nil
	})
}

func (d *disk) Unlock() {}

func (d *disk) Read(name string, limit int64) (data []byte, err error) {
	err = d.do(func() error {
		i := d.names[name]
		if i == nil {
			return fs.ErrNotExist
		}
		data = slices.Clone(i.data[:min(limit, int64(len(i.data)))])
		return nil
	})
	return data, err
}

func (d *disk) Create(name string) (file, error) {
	i := &inode{}
	err := d.do(func() error {
		d.change(func(names map[string]*inode) { names[name] = i })
		return nil
	})
	return &openFile{d, i}, err
}

func (d *disk) rename(from, to string, keep bool) error {
	return d.do(func() error {
		i := d.names[from]
		if i == nil {
			return fs.ErrNotExist
		}
		d.change(func(names map[string]*inode) {
			if !keep {
				delete(names, from)
			}
			names[to] = i
		})
		return nil
	})
}

func (d *disk) Rename(from, to string) error { return d.rename(from, to, false) }
func (d *disk) Link(from, to string) error   { return d.rename(from, to, true) }

func (d *disk) Remove(name string) error {
	return d.do(func() error {
		d.change(func(names map[string]*inode) { delete(names, name) })
		return nil
	})
}

func (d *disk) SyncDir() error {
	return d.do(func() error {
		d.durable, d.changes = maps.Clone(d.names), nil
		return nil
	})
}

type openFile struct {
	disk *disk
	*inode
}

// Write writes a part where it fails, or where the process ends.
func (f *openFile) Write(data []byte) (n int, err error) {
	part := f.disk.dice.IntN(len(data) + 1)
	defer func() { f.data = append(f.data, data[:n]...) }()
	n = part
	if err := f.disk.do(func() error { return nil }); err != nil {
		return n, err
	}
	n = len(data)
	return n, nil
}

func (f *openFile) Sync() error {
	return f.disk.do(func() error {
		f.synced = len(f.data)
		return nil
	})
}

func (f *openFile) Close() error { return f.disk.do(func() error { return nil }) }

var errDisk = errors.New("no space left on device")
