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

// TestRestarts holds that a ledger which is restored from its snapshot now and then gives the same results as one that is not,
// over random histories.
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
	without, with := New(For(2*time.Minute), maxSeries), New(For(2*time.Minute), maxSeries)
	at := epoch()
	for tick := 0; len(s.code) > 0; tick++ {
		at = at.Add([]time.Duration{time.Minute, time.Minute, time.Second, 7 * time.Minute, 0}[s.pick(5)])
		readings := s.readings(descs, at)
		if dice.IntN(3) == 0 {
			next := New(For(2*time.Minute), maxSeries)
			if err := next.Restore(with.Snapshot()); err != nil {
				t.Fatalf("tick %d: %v", tick, err)
			}
			with, readings = next, whole(descs, readings)
		}
		want, wantErr := apply(without, at, readings)
		got, err := apply(with, at, readings)
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

// whole returns the readings with an entry for each metric, as a source makes them: after a restore, a metric without an entry
// in the first tick is removed.
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

// TestRestoreOlder holds that a ledger restored from an older snapshot counts the events since then again, if the API still
// shows them, so that totals are right.
func TestRestoreOlder(t *testing.T) {
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 3))
		d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 1000}
		h := &metric.Desc{Name: "h", Type: metric.Histogram, Once: true, Remember: time.Hour, MaxEvents: 1000, Buckets: []float64{10}}
		l := New(For(time.Hour), 10)
		snapshots := [][]byte{l.Snapshot()}
		var shown []metric.Reading
		for tick := range 40 {
			for range dice.IntN(5) {
				shown = append(shown, metric.Reading{Value: 1, Event: fmt.Sprint(len(shown))})
			}
			if dice.IntN(4) == 0 {
				l = New(For(time.Hour), 10)
				if err := l.Restore(snapshots[dice.IntN(len(snapshots))]); err != nil {
					t.Fatal(err)
				}
			}
			r := mustApply(t, l, epoch().Add(time.Duration(tick)*time.Minute), metric.Measured{Desc: d, Rows: shown}, metric.Measured{Desc: h, Rows: shown})
			if len(shown) > 0 {
				if total, count := r.Families[0].Series[0].Value, r.Families[1].Series[0].Histogram().Count; int(total) != len(shown) || int(count) != len(shown) {
					t.Fatalf("seed %d, tick %d: %v and %d, want %d", seed, tick, total, count, len(shown))
				}
			}
			snapshots = append(snapshots, l.Snapshot())
		}
	}
}

// TestStateKey holds that state is not inherited if any field of the declaration differs, except the help and first_run, and
// that the key can be read back.
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
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		default:
			t.Fatalf("%s: this test cannot set a field of this kind", name)
		}
		same := name == "Help" || name == "FirstRun"
		if sameState(&d, &other) != same {
			t.Errorf("with another %s, the state is inherited: %v", name, !same)
		}
		var read metric.Desc
		if err := json.Unmarshal([]byte(stateKey(&other)), &read); err != nil || !sameState(&read, &other) {
			t.Errorf("%s: %+v is read back as %+v, %v", name, other, read, err)
		}
	}
}

// TestStateKeyIsStable holds the text under which earlier versions have saved state.
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

// FuzzRestore holds that any bytes are either refused, or give a state that can be used and saved.
func FuzzRestore(f *testing.F) {
	for seed := range uint64(6) {
		code := make([]byte, 900)
		rand.NewChaCha8([32]byte{byte(seed), 3}).Read(code)
		s, l := &script{code: code}, New(For(time.Hour), 1000)
		descs := s.descs()
		for at := epoch(); len(s.code) > 0; at = at.Add(time.Minute) {
			if _, err := apply(l, at, s.readings(descs, at)); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(l.Snapshot())
	}
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		l := New(For(time.Hour), 1000)
		if err := l.Restore(snapshot); err != nil {
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
		if err := New(For(time.Hour), 1000).Restore(l.Snapshot()); err != nil {
			t.Fatalf("its own snapshot: %v", err)
		}
	})
}

// TestRestoreRefuses holds that a snapshot that is too short or too long is refused.
func TestRestoreRefuses(t *testing.T) {
	l := New(For(time.Hour), 10)
	d := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 10, LabelNames: []string{"a"}}
	mustApply(t, l, epoch(), metric.Measured{Desc: d, Rows: []metric.Reading{{Labels: []string{"x"}, Value: 1, Event: "e"}}})
	whole := l.Snapshot()
	for n := range len(whole) {
		if err := New(For(time.Hour), 10).Restore(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(whole))
		}
	}
	if err := New(For(time.Hour), 10).Restore(append(whole, 0)); err == nil {
		t.Error("an extra byte is accepted")
	}
}

// TestResumedTotalsBeginThen holds that the start timestamp of a new running total after a restart is the time of Resume, or
// the last tick without Resume.
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
	first := tick(before, begin, "a")["a"]
	again, now := begin.Add(time.Minute), begin.Add(90*time.Second)
	for name, resumed := range map[string]bool{"resumed": true, "not resumed": false} {
		l := New(For(time.Minute), 100)
		if err := l.Restore(before.Snapshot()); err != nil {
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

// TestInheritTwice holds that state survives two reloads between which no tick was applied.
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
