package spool

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	badDir = "bad"
	maxBad = 100 // files set aside; the oldest make room
)

// load takes the lock and lists what an earlier run has left. It reads names only, so that a large backlog does not delay
// the start: a record's file is checked when it is sent. Files that have nothing to do with a spool are left alone.
func (q *Queue) load() error {
	if err := q.files.Lock(); err != nil {
		return err
	}
	names, err := q.files.ReadDir(".")
	if err != nil {
		return err
	}
	bad, err := q.files.ReadDir(badDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range records(bad) {
		m, _ := parseName(name)
		q.lastID = max(q.lastID, m.ID) // so that a file that is put back finds its name free
		q.bad = append(q.bad, path.Join(badDir, name))
	}
	var found []Meta
	for _, name := range names {
		if strings.HasSuffix(name, suffix+unready) {
			q.remove(name) // never taken
		}
	}
	for _, name := range records(names) {
		if m, ok := parseName(name); ok {
			found = append(found, m)
		} else {
			q.setAside(name, errors.New("has a name that no record has"))
		}
	}
	q.inherit(found)
	return nil
}

// records is the names that end as records' do.
func records(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) })
}

// inherit puts the records of an earlier run into the index, which come in order.
func (q *Queue) inherit(found []Meta) {
	last := uint64(0)
	for _, m := range found {
		if m.ID == last {
			q.setAside(m.name(), errors.New("has the number of another record"))
			q.finish(cleanup{lost: []loss{{Damaged, m}}})
			continue
		}
		last = m.ID
		q.index.add(&entry{Meta: m, saved: true, file: true})
	}
	q.lastID = max(q.lastID, last)
	q.index.inherited, q.index.lastInherited = q.index.records, last
	if p := q.Pending(); p.Records > 0 {
		q.options.Log.Info("the spool holds samples of an earlier run",
			"samples", p.Samples, "requests", p.Records, "oldest", p.Oldest.UTC().Format(time.RFC3339))
	}
}

// setAside moves a file to where nobody sends it and an operator finds it, and logs why.
func (q *Queue) setAside(name string, why error) {
	if errors.Is(why, fs.ErrNotExist) {
		q.options.Log.Warn("a file of the spool is gone: somebody else has removed it", "file", name)
		return
	}
	to := path.Join(badDir, name)
	if err := errors.Join(q.files.Mkdir(badDir), q.files.Rename(name, to)); err != nil {
		q.options.Log.Warn("cannot set aside a file of the spool: remove it, or the next start finds it again",
			"file", name, "error", why, "disk", err)
		return
	}
	q.options.Log.Warn("set aside a file of the spool", "file", to, "error", why)
	q.mu.Lock()
	q.bad = append(q.bad, to)
	oldest := q.bad[:max(0, len(q.bad)-maxBad)]
	q.bad = q.bad[len(oldest):]
	q.mu.Unlock()
	q.remove(oldest...)
}
