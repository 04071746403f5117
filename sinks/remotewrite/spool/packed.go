package spool

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/durable"
)

// packed is a record of an earlier process, without pointers.
type packed struct {
	id                                     uint64
	put                                    int64 // as in entry
	taken, oldest, newest                  int64
	shard, protocol                        int32
	samples, histograms, exemplars, length int32
}

// pack returns a record whose file has a valid name. All numbers in such a name fit into the fields of packed, since only the times are
// larger than maxPayload.
func pack(m *Meta) packed {
	return packed{
		id: m.ID, put: m.Taken, taken: m.Taken, oldest: m.Oldest, newest: m.Newest, shard: int32(m.Shard), protocol: int32(m.Protocol),
		samples: int32(m.Samples), histograms: int32(m.Histograms), exemplars: int32(m.Exemplars), length: int32(m.Bytes),
	}
}

func (p *packed) meta() Meta {
	return Meta{
		ID: p.id, Shard: int(p.shard), Protocol: int(p.protocol), Taken: p.taken, Oldest: p.oldest, Newest: p.newest,
		Samples: int(p.samples), Histograms: int(p.histograms), Exemplars: int(p.exemplars), Bytes: int(p.length),
	}
}

func (p *packed) name() string {
	m := p.meta()
	return m.name()
}

func (p *packed) unpack() *entry { return &entry{Meta: p.meta(), put: p.put, saved: true, file: true} }

// listing is what the names of the files in a spool's directory say.
type listing struct {
	records    []found
	shards     map[int]int // number of records of each shard, or a few more, for which memory is then allocated in vain
	strange    []string    // files whose names end like those of records, but are not names of records or have the ID of another record
	incomplete []string    // files that were not renamed yet

	room []packed // memory for further records
}

// found is a record whose file was found.
type found struct {
	id uint64 // the same as in packed; here too, so that sorting need not wait for the memory of packed
	*packed
}

// roomAtOnce is the number of records for which a listing allocates memory at once.
const roomAtOnce = 1024

func (l *listing) add(m *Meta) {
	if len(l.room) == 0 {
		l.room = make([]packed, roomAtOnce)
	}
	l.room[0] = pack(m)
	l.records = append(l.records, found{m.ID, &l.room[0]})
	l.room = l.room[1:]
	l.shards[m.Shard]++
}

// readNames reads the names of the files in a spool's directory. It returns the records sorted by ID, and the other files sorted by name.
func readNames(fsys durable.FS) (l listing, err error) {
	l.shards = map[int]int{}
	err = fsys.EachName(".", func(name []byte) {
		if m, ok := parseName(name); ok {
			l.add(&m)
		} else if bytes.HasSuffix(name, []byte(suffix)) {
			l.strange = append(l.strange, string(name))
		} else if bytes.HasSuffix(name, []byte(durable.TempName(suffix))) {
			l.incomplete = append(l.incomplete, string(name))
		}
	})
	l.sort()
	return l, err
}

// sort sorts all lists. If several records have the same ID, only the first by name stays a record, and the others become strange files.
func (l *listing) sort() {
	slices.SortFunc(l.records, func(a, b found) int {
		if a.id != b.id {
			return cmp.Compare(a.id, b.id)
		}
		return strings.Compare(a.name(), b.name())
	})
	last := uint64(0)
	l.records = slices.DeleteFunc(l.records, func(f found) bool {
		again := f.id == last
		if last = f.id; again {
			l.strange = append(l.strange, f.name())
		}
		return again
	})
	slices.Sort(l.strange)
	slices.Sort(l.incomplete)
}
