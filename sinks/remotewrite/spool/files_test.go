package spool

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/durable/disktest"
)

// listed returns the ID and the state of each record.
func listed(all []Listed) string {
	var texts []string
	for _, l := range all {
		state := map[State]string{Waiting: "waiting", SetAside: "set aside", Later: "later"}[l.State]
		texts = append(texts, fmt.Sprint(l.ID, " ", state))
	}
	return strings.Join(texts, ", ")
}

// spoiled returns an open spool with three records. While no queue was open, the function "spoil" has changed the file of the second
// record.
func spoiled(t *testing.T, spoil func(dir, second string)) (b *harness, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "new", "spool")
	b = openIn(t, dir)
	b.Put(recordOf(20), recordOf(20), recordOf(20))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := List(dir)
	if err != nil || listed(all) != "1 waiting, 2 waiting, 3 waiting" {
		t.Fatalf("listed %v, %v", all, err)
	}
	spoil(dir, filepath.Join(dir, all[1].File))
	return openIn(t, dir), dir
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSpoiledFiles checks that a damaged record is counted and set aside, and that the other records are sent.
func TestSpoiledFiles(t *testing.T) {
	for want, spoil := range map[string]func(data []byte) []byte{
		"is empty":            func([]byte) []byte { return nil },
		"is cut short":        func(data []byte) []byte { return data[:len(data)-1] },
		"is longer than":      func(data []byte) []byte { return append(data, 0) },
		"is not a spool's":    func(data []byte) []byte { return bytes.Repeat([]byte{0}, len(data)) },
		"is not a spool's r":  func(data []byte) []byte { return bytes.Replace(data, []byte("spool 1"), []byte("spool 0"), 1) },
		"match its checksum":  func(data []byte) []byte { data[len(data)-9] ^= 4; return data },
		"the name of another": func([]byte) []byte { r := recordOf(20); r.Bytes, r.Taken = 20, 1_000_000_000_000; return r.encode() },
	} {
		t.Run(want, func(t *testing.T) {
			b, dir := spoiled(t, func(_, second string) {
				put(t, second, spoil(content(t, second)))
			})
			b.want("samples known before it is read", b.Pending().Samples, 36)
			b.want("sent", b.nextIDs(0, OldestFirst), []int{1, 3})
			b.want("lost", b.lost, []string{"damaged 2"})
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("logged:\n%s", &b.log)
			}
			b.Close()
			all, err := List(dir)
			if err != nil || listed(all) != "1 waiting, 3 waiting, 2 set aside" || !strings.Contains(fmt.Sprint(all[2].Err), want) {
				t.Errorf("listed %v, %v", all, err)
			}
			replayed, err := Replay(dir, 2)
			if len(replayed) != 0 || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("replayed %v, %v", replayed, err)
			}
			b = openIn(t, dir)
			b.Put(recordOf(1))
			b.want("the next number", b.nextIDs(0, NewestFirst), []int{4, 3, 1})
		})
	}
}

// TestEveryBitCounts flips each bit of a file, and checks that the record is then not sent.
func TestEveryBitCounts(t *testing.T) {
	r := recordOf(20)
	r.ID, r.Bytes = 1, 20
	file := r.encode()
	for i := range 8 * len(file) {
		file[i/8] ^= 1 << (i % 8)
		if payload, err := r.decode(file); err == nil {
			t.Errorf("bit %d: %q", i, payload)
		}
		file[i/8] ^= 1 << (i % 8)
	}
	if payload, err := r.decode(file); err != nil || !bytes.Equal(payload, r.Payload) || cap(payload) != len(payload) {
		t.Errorf("got %q, %v", payload, err)
	}
}

// TestStrangeFiles checks files that are not records: some of them stay in the directory, others are set aside.
func TestStrangeFiles(t *testing.T) {
	b, dir := spoiled(t, func(dir, second string) {
		name := filepath.Base(second)
		put(t, filepath.Join(dir, "README"), []byte("mine"))
		put(t, filepath.Join(dir, "other.rec"), []byte("looks like ours"))
		put(t, filepath.Join(dir, strings.Replace(name, "00002.s0", "00002.s1", 1)), content(t, second))
		put(t, durable.TempName(second), []byte("half"))
		for _, err := range []error{
			os.Mkdir(filepath.Join(dir, strings.Replace(name, "00002.", "00007.", 1)), 0o700),
			os.Symlink(second, filepath.Join(dir, strings.Replace(name, "00002.", "00008.", 1))),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	b.want("sent", b.nextIDs(0, OldestFirst), []int{1, 2, 3})
	b.want("lost", b.lost, []string{"damaged 2"})
	b.want("is still there", string(content(t, filepath.Join(dir, "README"))), "mine")
	b.want("is set aside", string(content(t, filepath.Join(dir, badDir, "other.rec"))), "looks like ours")
	left, _ := filepath.Glob(filepath.Join(dir, durable.TempName("*")))
	b.want("half written", left, []string{})
}

// TestSameID checks records with the same ID. Only the first of them by name counts, in whatever order the disk shows them.
func TestSameID(t *testing.T) {
	d := disktest.New(1)
	var names []string
	for _, shard := range []int{2, 1, 3} {
		r := Record{Meta: Meta{ID: 7, Shard: shard, Samples: shard, Taken: time.Now().UnixMilli()}}
		names = append(names, r.name())
		d.Put(r.name(), r.encode())
	}
	b := openOn(t, d, func(o *Options) { o.Shards = 4 })
	b.want("pending", fmt.Sprint(b.Pending().Records, b.Pending().Samples), "1 1")
	b.want("sent", fmt.Sprint(b.nextIDs(1, OldestFirst), b.nextIDs(2, OldestFirst), b.nextIDs(3, OldestFirst)), "[7] [] []")
	b.want("lost", b.lost, []string{"damaged 7", "damaged 7"})
	b.want("files", d.Names(), []string{names[1], "bad/" + names[0], "bad/" + names[2]})
}

func TestGoneFile(t *testing.T) {
	gone := ""
	b, _ := spoiled(t, func(_, second string) { gone = second })
	os.Remove(gone)
	b.want("sent", b.nextIDs(0, OldestFirst), []int{1, 3})
	b.want("lost", b.lost, []string{"damaged 2"})
	if !strings.Contains(b.log.String(), "something else has removed it") {
		t.Errorf("logged:\n%s", &b.log)
	}
}

// TestSetAsideIsBounded checks that the number of files that were set aside is limited: the oldest ones are removed.
func TestSetAsideIsBounded(t *testing.T) {
	d := disktest.New(1)
	b := openOn(t, d, nil)
	for range maxBad + 5 {
		b.Put(recordOf(1))
	}
	for _, name := range recordFiles(d) {
		d.Put(name, []byte("damaged"))
	}
	b.want("sent", b.nextIDs(0, OldestFirst), []int{})
	b.want("lost", len(b.lost), maxBad+5)
	files := recordFiles(d)
	if len(files) != maxBad || !strings.HasPrefix(files[0], "bad/0000000000000006.") {
		t.Errorf("%d files are left, from %s on", len(files), files[0])
	}
	b.Close()
	b = openOn(t, d, nil)
	b.Put(recordOf(1))
	b.want("the next number", b.nextIDs(0, OldestFirst), []int{maxBad + 6})
}

// TestReplayAndDrop replays a record that was set aside because the disk could not read it, and drops another record.
func TestReplayAndDrop(t *testing.T) {
	b, dir := spoiled(t, func(dir, second string) {
		if err := os.MkdirAll(filepath.Join(dir, badDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(second, filepath.Join(dir, badDir, filepath.Base(second))); err != nil {
			t.Fatal(err)
		}
	})
	b.want("before", b.nextIDs(0, OldestFirst), []int{1, 3})
	for _, f := range []func(string, ...uint64) ([]Meta, error){Replay, Drop} {
		_, err := f(dir, 2)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d: stop that process", os.Getpid())) {
			t.Errorf("beside an agent: %v", err)
		}
	}
	b.Close()
	all, err := List(dir)
	if err != nil || listed(all) != "1 waiting, 3 waiting, 2 set aside" || all[2].Err != nil {
		t.Fatalf("listed %v, %v", all, err)
	}
	replayed, err := Replay(dir, 1, 2, 99)
	b.want("replayed", fmt.Sprint(len(replayed), replayed[0].ID, err), "1 2 <nil>")
	dropped, err := Drop(dir, 1, 99)
	b.want("dropped", fmt.Sprint(len(dropped), dropped[0].ID, err), "1 1 <nil>")
	b = openIn(t, dir)
	b.want("after", b.nextIDs(0, OldestFirst), []int{2, 3})
}

func TestListNowhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	put(t, name, nil)
	if _, err := List(filepath.Join(name, "spool")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err := Drop(name+"-none", 1); err == nil {
		t.Error("a spool that is not there was changed")
	}
	if _, err := os.Stat(name + "-none"); err == nil {
		t.Error("asking for a spool has made it")
	}
}

// TestNames reads names of records at the limits, and others that are close to names of records.
func TestNames(t *testing.T) {
	for _, m := range []Meta{
		{ID: 1},
		{
			ID: maxID - 1, Shard: maxPayload, Protocol: maxPayload, Taken: math.MaxInt64, Oldest: math.MinInt64, Newest: -1,
			Samples: maxPayload, Histograms: maxPayload, Exemplars: maxPayload, Bytes: maxPayload,
		},
		{ID: 10, Taken: math.MinInt64 + 1, Oldest: 1234567890123456789, Newest: -10, Samples: 9, Histograms: 10, Bytes: 99},
	} {
		if got, ok := parseName([]byte(m.name())); got != m || !ok {
			t.Errorf("%s is read as %+v", m.name(), got)
		}
		p := pack(&m)
		if p.meta() != m || p.name() != m.name() {
			t.Errorf("packed: %+v of %+v", p.meta(), m)
		}
		if r := (Record{Meta: m}); len(r.encode())+m.Bytes != m.size() {
			t.Errorf("%s: the size is %d, and not %d", m.name(), m.size(), len(r.encode())+m.Bytes)
		}
	}
	good := "0000000000000001.s0.p0.t0.o0.n0.v0.h0.e0.b0.rec"
	for part, others := range map[string][]string{
		"0001.": {"0000.", "001.", "00001.", "000x.", "-001.", "0001", "0001.."},
		"s0":    {"s-0", "s-1", "s01"},
		"t0":    {"t-0", "t-01", "t-", "t9223372036854775808", "t-9223372036854775809", "t99999999999999999999"},
		"e0":    {"f0", "E0"},
		"e0.b0": {"e0"},
		"b0":    {"b", "b-1", "b00", "b+0", "b0.c0", "b0x", "b1073741825"},
		".rec":  {"", ".recc", ".rec.tmp", "..rec"},
		good:    {"", ".rec", "0000000000000001.rec", "0000000000000001.s.rec", "1" + good},
	} {
		for _, other := range others {
			name := strings.Replace(good, part, other, 1)
			if m, ok := parseName([]byte(name)); ok || m != (Meta{}) {
				t.Errorf("%s is read as %+v", name, m)
			}
		}
	}
	if _, ok := parseName([]byte(good)); !ok {
		t.Errorf("%s is no name", good)
	}
}

func FuzzRecord(f *testing.F) {
	r := recordOf(20)
	r.ID, r.Bytes = 3, 20
	f.Add(r.name(), r.encode())
	f.Add("0000000000000001.s0.p0.t0.o0.n0.v0.h0.e0.b0.rec", []byte("cton-spool 1 s0.p0.t0.o0.n0.v0.h0.e0.b0\n\x00\x00\x00\x00"))
	f.Add("1.s-1.p.rec", []byte("cton-spool 2 "))
	f.Add("99999999999999999.s0.p0.t0.o0.n0.v0.h0.e0.b0.rec", []byte{})
	f.Fuzz(func(t *testing.T, name string, file []byte) {
		m, ok := parseName([]byte(name))
		if !ok {
			if m != (Meta{}) {
				t.Errorf("%q is no name, and is read as %+v", name, m)
			}
			return
		}
		if m.name() != name || m.Bytes > maxPayload {
			t.Errorf("%q is read as %+v", name, m)
		}
		payload, err := m.decode(file)
		if err != nil {
			return
		}
		if again := (&Record{Meta: m, Payload: payload}).encode(); !bytes.Equal(again, file) {
			t.Errorf("%q is written again as %q", file, again)
		}
	})
}

func records60k(n int) (all []Record) {
	for range n {
		all = append(all, recordOf(60_000))
	}
	return all
}

func BenchmarkPut(b *testing.B) {
	for _, group := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			h := &harness{}
			q := Open(b.TempDir(), h.options(func(o *Options) { o.MaxBytes = 200 << 20 }))
			defer q.Close()
			records := records60k(group)
			for b.Loop() {
				q.Put(records...)
			}
			b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkSend measures Next and Ack of a record of 60 kB, with a queue of 1,000 behind it.
func BenchmarkSend(b *testing.B) {
	h := &harness{}
	q := Open(b.TempDir(), h.options(nil))
	defer q.Close()
	q.Put(records60k(1000)...)
	for b.Loop() {
		if q.Pending().Records == 0 {
			b.StopTimer()
			q.Put(records60k(1000)...)
			b.StartTimer()
		}
		r, ok := q.Next(context.Background(), 0, OldestFirst)
		if !ok {
			b.Fatal("nothing waits")
		}
		q.Ack(r.ID)
	}
}

func BenchmarkOpen20000(b *testing.B) {
	dir := b.TempDir()
	for i := range 20_000 {
		m := recordOf(0).Meta
		m.ID, m.Taken = uint64(i+1), 1_795_362_580_007
		if err := os.WriteFile(filepath.Join(dir, m.name()), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		h := &harness{}
		q := Open(dir, h.options(nil))
		if q.Pending().Records != 20_000 {
			b.Fatal(&h.log)
		}
		q.Close()
	}
}
