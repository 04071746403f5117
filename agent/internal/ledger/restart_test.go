package ledger

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// TestRestarts checks over random histories that restarts do not change the results of a ledger. Now and then, after an orderly end or a
// kill, a ledger is restored from its records. Its results must be the same as those of a ledger that is never restored.
func TestRestarts(t *testing.T) {
	for seed := range uint64(150) {
		code := make([]byte, 2000)
		dice := rand.NewChaCha8([32]byte{byte(seed), 2, 2})
		dice.Read(code)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { restart(t, code, rand.New(dice)) }) {
			return
		}
	}
}

func restart(t *testing.T, code []byte, dice *rand.Rand) {
	s := &script{code: code}
	descs := s.descs()
	maxSeries := []int{1000, 25}[s.pick(2)]
	lives := New(For(2*time.Minute), maxSeries)
	life := newLife(maxSeries, dice)
	at := epoch()
	for tick := 0; len(s.code) > 0; tick++ {
		at = at.Add([]time.Duration{time.Minute, time.Minute, time.Second, 7 * time.Minute, time.Millisecond}[s.pick(5)])
		readings := s.readings(descs, at)
		if dice.IntN(3) == 0 {
			life.restart(t)
			readings = whole(descs, readings)
		}
		want, wantErr := apply(lives, at, readings)
		got, err := life.apply(at, readings)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("tick %d: error %v, want %v", tick, err, wantErr)
		}
		if err == nil && len(got.Restarted) > 0 {
			t.Fatalf("tick %d: %v restarted", tick, got.Restarted)
		}
		if err != nil {
			continue
		}
		checkLabelSets(t, nil, got)
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Fatalf("tick %d at %s (-without restarts +with):\n%s", tick, since(at), diff)
		}
	}
}

// TestRestartsWithoutValues checks the same as TestRestarts for another kind of journal: it leaves out the values that the source gives
// again. The same series must be shown with the same values. Metrics that could not be measured since the last restart are an exception.
func TestRestartsWithoutValues(t *testing.T) {
	for seed := range uint64(100) {
		code := make([]byte, 2000)
		chacha := rand.NewChaCha8([32]byte{byte(seed), 4, 2})
		chacha.Read(code)
		dice, s := rand.New(chacha), &script{code: code}
		descs := s.descs()
		lives, life := New(For(2*time.Minute), 1000), newLife(1000, dice)
		life.values = false
		life.renew()
		at, measured := epoch(), map[string]bool{} // since the last restart
		for tick := 0; len(s.code) > 0; tick++ {
			at = at.Add([]time.Duration{time.Minute, time.Second, 7 * time.Minute}[s.pick(3)])
			readings := s.readings(descs, at)
			if dice.IntN(3) == 0 {
				life.restart(t)
				clear(measured)
				readings = whole(descs, readings)
			}
			want, wantErr := apply(lives, at, readings)
			got, err := life.apply(at, readings)
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			for _, m := range readings {
				measured[m.Desc.Name] = measured[m.Desc.Name] || !slices.ContainsFunc(got.Problems, func(p Problem) bool { return p.Metric == m.Desc.Name })
			}
			if diff := cmp.Diff(valuesOf(want, measured), valuesOf(got, measured)); diff != "" {
				t.Fatalf("seed %d, tick %d at %s (-without restarts +with):\n%s", seed, tick, since(at), diff)
			}
		}
	}
}

// valuesOf returns the series of metrics whose values the journal keeps, or that were measured since the last restart. It leaves out the
// starts of upstream totals.
func valuesOf(r *Result, measured map[string]bool) []string {
	var lines []string
	for _, f := range r.Families {
		d := f.Desc
		if !d.Accumulates() && !d.Delta && !measured[d.Name] {
			continue
		}
		for i := range f.Series {
			line := d.Name + showSeries(&f, &f.Series[i])
			if d.Type == metric.Counter && d.From == metric.Total {
				line, _, _ = strings.Cut(line, " since")
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// TestEventsAreNotForgottenEarly checks how long a restored ledger remembers an event that the source shows in each answer, although the
// records have few sightings of the event. The time must be at least as long as in a ledger that was not restarted, and at most an eighth
// longer.
func TestEventsAreNotForgottenEarly(t *testing.T) {
	d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: 80 * time.Minute, MaxEvents: 100}
	for gone := range 60 { // the minute of the last answer that shows the event
		l := New(For(time.Hour), 10)
		l.Journal(false)
		var records [][]byte
		at := epoch()
		for range gone + 1 {
			mustApply(t, l, at, metric.Measured{Desc: d, Rows: []metric.Reading{{Value: 1, Event: "e"}}})
			records = append(records, l.Changes(false))
			at = at.Add(time.Minute)
		}
		for _, c := range []struct {
			after time.Duration
			want  float64
		}{{79 * time.Minute, 1}, {91 * time.Minute, 2}} {
			restored := New(For(time.Hour), 10)
			if err := restored.Restore(records...); err != nil {
				t.Fatal(err)
			}
			r := mustApply(t, restored, at.Add(c.after), metric.Measured{Desc: d, Rows: []metric.Reading{{Value: 1, Event: "e"}}})
			if got := r.Families[0].Series[0].Value; got != c.want {
				t.Fatalf("seen last at minute %d, shown again after %s: the total is %v, want %v", gone, c.after, got, c.want)
			}
		}
	}
}

// TestRecordsAreSmall checks the size of the record of a tick.
func TestRecordsAreSmall(t *testing.T) {
	gauge := &metric.Desc{Name: "up", Type: metric.Gauge, LabelNames: []string{"host"}}
	total := &metric.Desc{Name: "calls_total", Type: metric.Counter, LabelNames: []string{"host"}}
	events := &metric.Desc{Name: "seen_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 1 << 20}
	l := New(For(time.Hour), 1<<20)
	l.Journal(false)
	tick := func(n int) []byte {
		rows, seen := make([]metric.Reading, 1000), make([]metric.Reading, 10_000+n)
		for i := range rows {
			rows[i] = metric.Reading{Labels: []string{fmt.Sprint("host-", i)}, Value: float64(1000*n + i)}
		}
		for i := range seen {
			seen[i] = metric.Reading{Value: 1, Event: fmt.Sprintf("incident-%06d", i)}
		}
		mustApply(t, l, epoch().Add(time.Duration(n)*time.Second), metric.Measured{Desc: gauge, Rows: rows}, metric.Measured{Desc: total, Rows: rows}, metric.Measured{Desc: events, Rows: seen})
		return l.Changes(false)
	}
	tick(0)
	if n := len(tick(50)); n > 50*20+100 {
		t.Errorf("2,000 gauges and totals, 10,000 event ids that are known and 50 new ones: %d bytes", n)
	}
}

// life is a ledger whose records are kept, over its restarts.
type life struct {
	*Ledger
	dice      *rand.Rand
	maxSeries int
	values    bool
	records   [][]byte
}

// newLife makes a life that keeps the values of all series, and when each event was last seen.
func newLife(maxSeries int, dice *rand.Rand) *life {
	f := &life{dice: dice, maxSeries: maxSeries, values: true}
	f.renew()
	return f
}

func (f *life) renew() {
	f.Ledger = New(For(2*time.Minute), f.maxSeries)
	f.Journal(f.values)
	f.journal.sightings = 1 << 60
}

func (f *life) apply(at time.Time, readings metric.Readings) (*Result, error) {
	r, err := apply(f.Ledger, at, readings)
	if err == nil {
		f.records = append(f.records, f.Changes(false))
	}
	return r, err
}

// restart simulates an orderly end or a kill: it folds some records, writes some of them twice, and restores the ledger.
func (f *life) restart(t *testing.T) {
	t.Helper()
	if len(f.records) == 0 {
		return
	}
	if f.dice.IntN(2) == 0 {
		f.records = append(f.records, f.Changes(true))
	}
	if n := f.dice.IntN(2 * len(f.records)); n < len(f.records) {
		folded, err := fold(f.records[:n+1], 1<<60)
		if err != nil {
			t.Fatal(err)
		}
		f.records = append([][]byte{folded}, f.records[n+1:]...)
	}
	if last := len(f.records) - 1; last > 0 && f.dice.IntN(4) == 0 {
		f.records = append(f.records, f.records[last])
	}
	f.renew()
	if err := f.Restore(f.records...); err != nil {
		t.Fatal(err)
	}
}

// whole returns the readings and adds each metric that is not among them, without readings. Sources return such a metric too: it has no
// series any more.
func whole(descs []*metric.Desc, readings metric.Readings) metric.Readings {
	all := slices.Clone(readings)
	for _, d := range descs {
		if !slices.ContainsFunc(all, func(m metric.Measured) bool { return m.Desc == d }) {
			all = append(all, metric.Measured{Desc: d})
		}
	}
	return all
}

// lines returns a result as sorted text.
func lines(r *Result) []string {
	text := show(r.Families)
	for _, p := range r.Problems {
		text = append(text, p.Metric+": "+p.Err.Error())
	}
	for _, d := range r.Drops {
		text = append(text, fmt.Sprint(d))
	}
	text = append(text, fmt.Sprint(r.Readings, r.Series, r.Resets))
	slices.Sort(text) // the order of metrics can differ
	return text
}

// TestRestoreOlder checks that a ledger can be restored from any earlier record, if the API still shows the events since then. These
// events are counted once more and added to the older totals, so that the totals come out as if nothing had happened.
func TestRestoreOlder(t *testing.T) {
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 3))
		d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 1000}
		h := &metric.Desc{Name: "h", Type: metric.Histogram, Once: true, Remember: time.Hour, MaxEvents: 1000, Buckets: []float64{10}}
		l := New(For(time.Hour), 10)
		l.Journal(false)
		records := [][]byte{l.Changes(false)}
		var shown []metric.Reading
		for tick := range 40 {
			for range dice.IntN(5) {
				shown = append(shown, metric.Reading{Value: 1, Event: fmt.Sprint(len(shown))})
			}
			if dice.IntN(4) == 0 {
				l = New(For(time.Hour), 10)
				l.Journal(false)
				records = records[:1+dice.IntN(len(records))]
				if err := l.Restore(records...); err != nil {
					t.Fatal(err)
				}
			}
			r := mustApply(t, l, epoch().Add(time.Duration(tick)*time.Minute), metric.Measured{Desc: d, Rows: shown}, metric.Measured{Desc: h, Rows: shown})
			if len(shown) > 0 {
				if total, count := r.Families[0].Series[0].Value, r.Families[1].Series[0].Histogram().Count; int(total) != len(shown) || int(count) != len(shown) {
					t.Fatalf("seed %d, tick %d: %v and %d, want %d", seed, tick, total, count, len(shown))
				}
			}
			records = append(records, l.Changes(false))
		}
	}
}

// TestStateKey checks that state is not inherited if a field of the declaration differs, unless this field does not affect the state. It
// also checks that the key can be read back.
func TestStateKey(t *testing.T) {
	d := metric.Desc{Name: "m_total"}
	fields := reflect.TypeFor[metric.Desc]()
	for i := range fields.NumField() {
		other := d
		field, name := reflect.ValueOf(&other).Elem().Field(i), fields.Field(i).Name
		switch field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Uint8:
			field.SetUint(1)
		case reflect.Int, reflect.Int64:
			field.SetInt(7)
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		default:
			t.Fatalf("%s: this test cannot set a field of this kind", name)
		}
		same := slices.Contains([]string{"Help", "FirstRun", "Scraped", "MinReadings", "OwnTimes"}, name)
		if sameState(&d, &other) != same {
			t.Errorf("with another %s, the state is inherited: %v", name, !same)
		}
		var read metric.Desc
		if err := json.Unmarshal([]byte(stateKey(&other)), &read); err != nil || !sameState(&read, &other) {
			t.Errorf("%s: %+v is read back as %+v, %v", name, other, read, err)
		}
	}
}

// TestStateKeyIsStable checks the text under which earlier versions have saved state.
func TestStateKeyIsStable(t *testing.T) {
	d := metric.Desc{
		Name: "m", Help: "h", Unit: "seconds", Type: metric.Histogram, How: ".a", LabelNames: []string{"b", "a"},
		Const: []metric.Label{{Name: "c", Value: "1"}}, Targeted: true, Delta: true, From: metric.Events,
		OnDecrease: metric.DecreaseError, OnDuplicate: metric.DuplicateSum, Once: true, Remember: time.Hour, MaxEvents: 5,
		FirstRun: metric.FirstSkip, Buckets: []float64{0.5, 1}, Native: true, Quantiles: []float64{0.9}, MaxAge: time.Minute,
	}
	const want = `{"name":"m","unit":"seconds","type":"histogram","how":".a","labels":["b","a"],"const_labels":[{"Name":"c","Value":"1"}],` +
		`"targeted":true,"delta":true,"from":"events","on_decrease":"error","on_duplicate":"sum","once":true,"remember":3600000000000,` +
		`"max_events":5,"buckets":[0.5,1],"native":true,"quantiles":[0.9],"max_age":60000000000}`
	if got := stateKey(&d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := stateKey(&metric.Desc{Name: "m", Type: metric.Gauge}); got != `{"name":"m","type":"gauge"}` {
		t.Errorf("unset fields are in the text: %s", got)
	}
}

// FuzzRestore checks that any bytes are either refused, or give a state that can be used and saved.
func FuzzRestore(f *testing.F) {
	for seed := range uint64(6) {
		code := make([]byte, 900)
		rand.NewChaCha8([32]byte{byte(seed), 3}).Read(code)
		s, l := &script{code: code}, New(For(time.Hour), 1000)
		l.Journal(seed%2 == 0)
		descs := s.descs()
		var records [][]byte
		for at := epoch(); len(s.code) > 0; at = at.Add(time.Minute) {
			if _, err := apply(l, at, s.readings(descs, at)); err != nil {
				f.Fatal(err)
			}
			records = append(records, l.Changes(false))
		}
		for i := 1; i < len(records); i += 3 {
			folded, err := Fold(records[:i])
			if err != nil {
				f.Fatal(err)
			}
			f.Add(folded, records[i])
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l := New(For(time.Hour), 1000)
		l.Journal(false)
		if err := l.Restore(first, second); err != nil {
			if strings.Contains(err.Error(), "\n") || len(l.Holdings()) > 0 {
				t.Fatalf("%q, holding %v", err, l.Holdings())
			}
			return
		}
		var readings metric.Readings
		for _, heir := range l.held() {
			readings = append(readings, metric.Measured{Desc: heir.desc, Rows: []metric.Reading{{Labels: make([]string, len(heir.desc.LabelNames)), Value: 1, Event: "e"}}})
		}
		if _, err := l.Apply(epoch(), readings); err != nil {
			return
		}
		if err := New(For(time.Hour), 1000).Restore(first, second, l.Changes(false)); err != nil {
			t.Fatalf("with its own record: %v", err)
		}
		if _, err := Fold([][]byte{first, second}); err != nil {
			t.Fatalf("fold: %v", err)
		}
	})
}

// TestRestoreRefuses checks that a snapshot that is too short or too long is refused.
func TestRestoreRefuses(t *testing.T) {
	l := New(For(time.Hour), 10)
	l.Journal(false)
	d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 10, LabelNames: []string{"a"}}
	mustApply(t, l, epoch(), metric.Measured{Desc: d, Rows: []metric.Reading{{Labels: []string{"x"}, Value: 1, Event: "e"}}})
	whole := l.Changes(false)
	for n := range len(whole) {
		if err := New(For(time.Hour), 10).Restore(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(whole))
		}
	}
	if err := New(For(time.Hour), 10).Restore(append(whole, 0)); err == nil {
		t.Error("an extra byte is accepted")
	}
}

// TestResumedTotalsBeginThen checks that the start timestamp of a new running total after a restart is the time given to Resume. Without
// a call of Resume, it is the time of the last tick.
func TestResumedTotalsBeginThen(t *testing.T) {
	d := &metric.Desc{Name: "seen_total", Type: metric.Counter, From: metric.Increment, LabelNames: []string{"team"}}
	tick := func(l *Ledger, at time.Time, teams ...string) map[string]int64 {
		t.Helper()
		var rows []metric.Reading
		for _, team := range teams {
			rows = append(rows, metric.Reading{Labels: []string{team}, Value: 1})
		}
		r, err := l.Apply(at, metric.Readings{{Desc: d, Rows: rows}})
		if err != nil {
			t.Fatal(err)
		}
		starts := map[string]int64{}
		for _, s := range r.Families[0].Series {
			starts[s.Labels.Get("team")] = s.Start
		}
		return starts
	}
	begin := time.UnixMilli(1_800_000_000_000)
	before := New(For(time.Minute), 100)
	before.Journal(false)
	first := tick(before, begin, "a")["a"]
	record := before.Changes(false)
	again, now := begin.Add(time.Minute), begin.Add(90*time.Second)
	for name, resumed := range map[string]bool{"resumed": true, "not resumed": false} {
		l := New(For(time.Minute), 100)
		if err := l.Restore(record); err != nil {
			t.Fatal(err)
		}
		want := begin
		if resumed {
			l.Resume(again)
			want = again
		}
		if starts := tick(l, now, "a", "b"); starts["a"] != first || starts["b"] != want.UnixMilli() {
			t.Errorf("%s: the start timestamps are %v, want %d and %d", name, starts, first, want.UnixMilli())
		}
		if starts := tick(l, now.Add(time.Minute), "c"); starts["c"] != now.UnixMilli() {
			t.Errorf("%s: later, the start timestamp of c is %d, want that of the tick before, %d", name, starts["c"], now.UnixMilli())
		}
	}
}

// TestInheritTwice checks that state survives two reloads between which no tick was applied.
func TestInheritTwice(t *testing.T) {
	d := &metric.Desc{Name: "seen_total", Type: metric.Counter, From: metric.Increment}
	first := New(For(time.Hour), 10)
	mustApply(t, first, epoch(), of(d, 3))
	second, third := New(For(time.Hour), 10), New(For(time.Hour), 10)
	second.Inherit(first)
	third.Inherit(second)
	r := mustApply(t, third, epoch().Add(time.Minute), of(d, 4))
	if got := show(r.Families); !slices.Equal(got, []string{"seen_total 7 since -1ms"}) {
		t.Errorf("got %q", got)
	}
}

// TestKeeps checks after which ticks a record must be on disk before the batch is delivered. These are the ticks that leave something in
// the ledger that the source does not give again.
func TestKeeps(t *testing.T) {
	gauge := &metric.Desc{Name: "g", Type: metric.Gauge}
	for name, c := range map[string]struct {
		desc   *metric.Desc
		values bool
		rows   []metric.Reading // one a tick
		want   string
	}{
		"gauge":            {gauge, false, []metric.Reading{{Value: 1}, {Value: 2}}, "false false"},
		"gauge of windows": {gauge, true, []metric.Reading{{Value: 1}, {Value: 2}}, "true true"},
		"point":            {gauge, false, []metric.Reading{{Value: 1}, {Value: 2, Time: milli(0)}}, "false true"},
		"delta":            {&metric.Desc{Name: "d", Type: metric.Gauge, Delta: true}, false, []metric.Reading{{Value: 1}, {Value: 1}}, "true true"},
		"increment":        {&metric.Desc{Name: "i_total", Type: metric.Counter, From: metric.Increment}, false, []metric.Reading{{Value: 1}, {Value: 0}}, "true true"},
		"total":            {&metric.Desc{Name: "t_total", Type: metric.Counter}, false, []metric.Reading{{Value: 5}, {Value: 7}, {Value: 1}, {Value: 2}}, "false false true false"},
		"kept total":       {&metric.Desc{Name: "t_total", Type: metric.Counter, OnDecrease: metric.DecreaseIgnore}, false, []metric.Reading{{Value: 5}, {Value: 5}}, "true true"},
	} {
		l := New(For(time.Hour), 10)
		l.Journal(c.values)
		var got []string
		for i, row := range c.rows {
			mustApply(t, l, epoch().Add(time.Duration(i)*time.Minute), metric.Measured{Desc: c.desc, Rows: []metric.Reading{row}})
			got = append(got, fmt.Sprint(l.Keeps()))
			l.Changes(false)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}
