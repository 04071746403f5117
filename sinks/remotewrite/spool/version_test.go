package spool

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable/disktest"
)

// TestVersion1 reads records that the first version's build has written. TestSpoolOfVersion1 of the sink checks what they mean.
func TestVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/version-1")); err != nil {
			t.Fatal(err)
		}
		b := openIn(t, dir)
		want := []Meta{
			{ID: 1, Protocol: 1, Taken: 1795958472479, Oldest: 1795958472477, Newest: 1795958472478, Samples: 2, Bytes: 121},
			{ID: 2, Protocol: 1, Taken: 1795958472481, Oldest: 1795958472477, Newest: 1795958472478, Samples: 36, Histograms: 2, Bytes: 764},
			{ID: 4, Protocol: 2, Taken: 1795958473538, Oldest: 1795958473537, Newest: 1795958473537, Samples: 21, Histograms: 1, Bytes: 754},
		}
		for i := range want {
			r, ok := b.Next(t.Context(), 0, OldestFirst)
			if !ok || r.Meta != want[i] || len(r.Payload) != want[i].Bytes {
				t.Errorf("got %+v with %d bytes, want %+v", r.Meta, len(r.Payload), want[i])
			}
		}
		b.Close()
	})
}

// laterRecords returns the contents of files with records of version 2, by name. One name has the form of version 1, two have other forms.
func laterRecords() map[string][]byte {
	m := Meta{ID: 2, Taken: 946684800000, Samples: 7, Bytes: 9}
	return map[string][]byte{
		m.name():                     []byte("cton-spool 2 and whatever follows"),
		"0000000000000005.s0.z9.rec": []byte("cton-spool 2 …\n"),
		"zstd-compressed.rec":        []byte("cton-spool 17\n\x00\xff"),
	}
}

// onWithLater returns a disk with the records 1 and 3, and records of later versions.
func onWithLater(t *testing.T) *disktest.Disk {
	t.Helper()
	d := disktest.New(1)
	b := openOn(t, d, nil)
	b.Put(recordOf(20), recordOf(20), recordOf(20))
	b.Next(t.Context(), 0, OldestFirst)
	second, _ := b.Next(t.Context(), 0, OldestFirst)
	b.Ack(second.ID)
	b.Close()
	for name, content := range laterRecords() {
		d.Put(name, content)
	}
	return d
}

// untouched checks that all records of later versions are where they were.
func untouched(t *testing.T, d *disktest.Disk) {
	t.Helper()
	for name, content := range laterRecords() {
		if got := d.Content(name); !bytes.Equal(got, content) {
			t.Errorf("%s holds %q; files are %q", name, got, d.Names())
		}
	}
}

// TestLaterVersion checks that records of a later version stay where they are. They are neither sent nor counted, and they are logged once.
func TestLaterVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := onWithLater(t)
		for range 2 {
			b := openOn(t, d, nil)
			b.want("sent", b.nextIDs(0, OldestFirst), []int{1, 3})
			b.want("lost", b.lost, []string{})
			b.want("pending", b.Pending().Records, 2)
			text := b.log.String()
			if strings.Count(text, "later version") != 1 || !strings.Contains(text, "of the format, and this cton reads versions up to 1") {
				t.Errorf("logged:\n%s", text)
			}
			b.Put(recordOf(1))
			if got := b.nextIDs(0, NewestFirst)[0]; got < 6 {
				t.Errorf("a new record has number %d, which a record of a later version has", got)
			}
			b.Ack(b.nextIDs(0, NewestFirst)[0])
			b.Close()
			untouched(t, d)
		}
	})
}

// TestLaterVersionIsNotBounded checks that neither the bound in bytes nor that of age removes records of a later version.
func TestLaterVersionIsNotBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bound := range []string{"bytes", "age"} {
			d := onWithLater(t)
			b := openOn(t, d, func(o *Options) { o.MaxBytes = 2 * diskBlock })
			if bound == "age" {
				time.Sleep(2 * time.Hour)
			}
			b.Put(recordOf(20), recordOf(20))
			for _, lost := range b.lost {
				if strings.HasSuffix(lost, " 2") {
					t.Errorf("%s: the record of a later version is counted as lost: %q", bound, b.lost)
				}
			}
			b.want(bound+": lost", len(b.lost), 2)
			untouched(t, d)
		}
	})
}

// TestLaterVersionSetAside checks records that were set aside. One of them has a later version: it stays when the others are removed.
func TestLaterVersionSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		name := path.Join(badDir, slices.Sorted(maps.Keys(laterRecords()))[0])
		d.Put(name, []byte("cton-spool 2 "))
		b := openOn(t, d, nil)
		for range maxBad + 5 {
			b.Put(recordOf(1))
		}
		for _, file := range recordFiles(d) {
			if !strings.HasPrefix(file, badDir) {
				d.Put(file, nil)
			}
		}
		b.want("sent", b.nextIDs(0, OldestFirst), []int{})
		b.want("lost", len(b.lost), maxBad+5)
		b.want("set aside", len(recordFiles(d)), maxBad+1)
		if d.Content(name) == nil {
			t.Errorf("%s was removed", name)
		}
	})
}

// TestListLaterVersion lists, drops and replays records while there are records of a later version.
func TestListLaterVersion(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	b.Put(recordOf(20))
	b.Close()
	for name, content := range laterRecords() {
		put(t, filepath.Join(dir, name), content)
	}
	all, err := List(dir)
	if err != nil || listed(all) != "1 waiting, 2 later, 5 later, 0 later" {
		t.Errorf("listed %s, %v", listed(all), err)
	}
	b.want("what is wrong", all[3].Err, "has version 17 of the format, and this cton reads versions up to 1")
	replayed, err := Replay(dir, 2, 5)
	b.want("replayed", fmt.Sprint(len(replayed), err), "0 <nil>")
	dropped, err := Drop(dir, 0, 5)
	b.want("dropped", fmt.Sprint(len(dropped), err), "1 <nil>")
	all, err = List(dir)
	if err != nil || listed(all) != "1 waiting, 2 later, 0 later" {
		t.Errorf("listed %s, %v", listed(all), err)
	}
}
