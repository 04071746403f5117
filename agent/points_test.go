package agent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// meter is an API that shows readings of rooms. An answer has readings from some period of the past, in any order. Often the API has shown
// some of them before. Sometimes an answer has no reading of a room, and sometimes the API fails. A reading is late if it is first shown
// after a newer one.
type meter struct {
	dice  *rand.Rand
	begin time.Time
	last  map[string]int64     // the time of the newest reading shown, by room, in Unix seconds
	shown map[string][]reading // the readings that were newer than all earlier ones when they were shown, by room, in order of time
	late  int
}

type reading struct {
	Room  string `json:"room"`
	At    int64  `json:"at"` // Unix seconds
	Value int64  `json:"value"`
}

func (m *meter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if m.dice.IntN(8) == 0 {
		http.Error(w, "try later", http.StatusServiceUnavailable)
		return
	}
	now := time.Now().Unix()
	all := []reading{}
	for _, room := range []string{"a", "b", "c"} {
		if m.dice.IntN(4) == 0 {
			continue
		}
		from := now - m.dice.Int64N(300)
		for at := from - from%7; at < now; at += 7 * (1 + m.dice.Int64N(5)) {
			all = append(all, reading{room, at, at % 1000})
		}
	}
	m.dice.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	m.remember(all)
	_ = json.NewEncoder(w).Encode(map[string]any{"readings": all})
}

func (m *meter) remember(all []reading) {
	inOrder := slices.Clone(all)
	slices.SortFunc(inOrder, func(a, b reading) int { return int(a.At - b.At) })
	for _, r := range inOrder {
		if known := m.shown[r.Room]; r.At > m.last[r.Room] {
			m.last[r.Room] = r.At
			m.shown[r.Room] = append(known, r)
		} else if !slices.Contains(known, r) {
			m.late++
		}
	}
}

// TestPointsAreStoredOnce runs the whole program against a meter, with restarts from its state file. It checks that a receiver which
// accepts a series' samples only in order stores each reading in meter.shown once, and refuses nothing.
func TestPointsAreStoredOnce(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storedOnce(t, seed) })
		})
	}
}

func storedOnce(t *testing.T, seed uint64) {
	m := &meter{dice: rand.New(rand.NewPCG(seed, 5)), begin: time.Now(), last: map[string]int64{}, shown: map[string][]reading{}}
	net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
	net.Serve(t, "api.test:80", m)
	net.Serve(t, "rw.test:80", prometheus)
	config := fmt.Sprintf(`
state_file: %q
sinks:
  rw: {remote_write: {url: "http://rw.test/api/v1/write", protocol: %q}}
jobs:
  rooms:
    schedule: "@every 60s"
    http: {url: "http://api.test/"}
    metrics:
      temp: {type: gauge, items: ".readings[]", value: .value, labels: {room: .room}, time: .at}
`, filepath.Join(t.TempDir(), "state"), []string{"1.0", "2.0", "auto"}[seed%3])
	for range 4 {
		logged := runFor(t, net, config, time.Now().Add(10*time.Minute+30*time.Second))
		for _, wrong := range []string{"refused", "dropped", "panic"} {
			if strings.Contains(logged, wrong) {
				t.Fatalf("the log speaks of %q:\n%s", wrong, logged)
			}
		}
		time.Sleep(time.Second) // which a restart takes
	}
	var want []string
	for _, room := range slices.Sorted(maps.Keys(m.shown)) {
		for _, r := range m.shown[room] {
			want = append(want, fmt.Sprintf("temp{room=%q} %d at %s\n", room, r.Value, time.Unix(r.At, 0).UTC().Format(time.RFC3339)))
		}
	}
	got, err := prometheus.Stored("temp")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("stored are %d points, shown were %d", len(got), len(want))
	}
	if m.late == 0 || len(want) < 100 {
		t.Errorf("%d points, %d late: the test tries too little", len(want), m.late)
	}
}
