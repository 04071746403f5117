//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/sinks/remotewrite/wire"
	inprocess "github.com/collectington/collectington/sinks/sinktest/peers"
)

var everything = flag.Duration("everything", 25*time.Second, "how long TestEverything has things go wrong")

// everythingConfig has all kinds of sinks. The agent's own metrics go only to the sink "page". So the other sinks get only samples of runs.
const everythingConfig = `
own_metrics: {sinks: [page]}
sinks:
  page: {expose: {listen: %q, job_label: job}}
  push: {pushgateway: {url: "http://push.test:%[2]s"}}
  kept: {pushgateway: {url: "http://push.test:%[2]s", grouping: {to: kept}, spool: {dir: %[3]q}}}
  memory: {remote_write: {url: "http://memory.test:%[2]s/api/v1/write", protocol: "1.0", timeout: 3s}}
  spool: {remote_write: {url: "http://spool.test:%[2]s/api/v1/push", timeout: 3s, spool: {dir: %[4]q}}}
jobs:
  interval: &job
    schedule: "@every 1s"
    valid_for: 1h
    http: {url: "%[5]s/interval"}
    metrics: {load: {type: gauge, items: ".of[]", value: .n, labels: {of: .name}}}
  cron: {<<: *job, schedule: "* * * * * *", http: {url: "%[5]s/cron"}}
`

const loadSeries = 5 // of each job

// TestEverything exposes a running agent to many faults at once: its clock jumps, its receivers move, refuse, lie, hang and lose answers,
// and the disk of its spools fills up. It checks that, when the faults are over, each sample of each run has either arrived or is counted
// as dropped. Each sample that has arrived must have the time that the agent's clock showed.
func TestEverything(t *testing.T) {
	cton := buildChanged(t)
	ctx, cancel := context.WithTimeout(t.Context(), *everything+3*time.Minute)
	defer cancel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newFate(t, rand.New(rand.NewPCG(seed, 0)))
	agent := exec.Command(cton, "run", "-c", w.config)
	agent.Env = append(os.Environ(), "STEPS="+w.steps.String(), "HOSTS="+w.hosts)
	w.began = time.Now()
	p := startCommand(t, agent)
	go func() {
		select {
		case <-p.done: // the agent has ended before the test
			cancel()
		case <-ctx.Done():
		}
	}()
	w.goWrong(ctx, t)
	w.calm(ctx, t)
	own, err := w.own()
	if err != nil {
		t.Fatal(err)
	}
	p.stop(t, 20*time.Second)
	w.judge(t, own, p.out.String())
}

// judge checks that what the receivers have agrees with the agent's own metrics and with the agent's log.
func (w *fate) judge(t *testing.T, own map[string]float64, log string) {
	runs := 0
	for job, at := range w.served {
		runs += len(at)
		if n := own[fmt.Sprintf(`cton_job_runs_total{cton_job=%q,result="success"}`, job)]; n != float64(len(at)) {
			t.Errorf("job %s: %v runs succeeded, the API has answered %d", job, n, len(at))
		}
		if least := int(everything.Seconds() * 0.7); len(at) < least {
			t.Errorf("job %s: %d runs, want at least %d", job, len(at), least)
		}
	}
	for _, sink := range []string{"memory", "spool"} {
		f, label := w.receivers[sink], `{sink="`+sink+`"}`
		dropped, sent := own["cton_sink_dropped_samples_total"+label], own["cton_sink_sent_samples_total"+label]
		t.Logf("%s: %d samples in, %d came, %v dropped; %d requests; wrong moods %v", sink, runs*loadSeries, len(f.seen), dropped, f.requests, f.moods)
		for name, n := range own {
			if strings.HasPrefix(name, "cton_sink_dropped_samples_by_reason_total") && strings.Contains(name, `sink="`+sink+`"`) {
				t.Logf("%s %v", name, n)
			}
		}
		if float64(len(f.seen))+dropped != float64(runs*loadSeries) {
			t.Errorf("%s: %d samples of %d came and %v are counted as dropped", sink, len(f.seen), runs*loadSeries, dropped)
		}
		if sent != float64(len(f.seen)) {
			t.Errorf("%s: %v samples are counted as sent, %d came", sink, sent, len(f.seen))
		}
		w.judgeTimes(t, sink, f.seen)
	}
	if n := own["cton_clock_jumps_total"]; n != float64(len(w.steps)) {
		t.Errorf("%v jumps of the clock are counted, there were %d", n, len(w.steps))
	}
	if !strings.Contains(log, fmt.Sprintf("jumps=%d\n", len(w.steps))) { // one line may stand for several jumps
		t.Errorf("the last of %d jumps of the clock is not logged", len(w.steps))
	}
	if strings.Contains(log, "panic") {
		t.Errorf("the agent wrote:\n%s", log)
	}
}

// judgeTimes checks that each sample has the time that the agent's clock showed when the API answered.
func (w *fate) judgeTimes(t *testing.T, sink string, seen map[string]int64) {
	const most = 2500 * time.Millisecond
	wrong := 0
	for key, at := range seen {
		fields := strings.Fields(key)
		n, err := strconv.Atoi(fields[2])
		if err != nil || n < 1 || n > len(w.served[fields[0]]) {
			t.Errorf("%s: %s was never served", sink, key)
			continue
		}
		served := w.served[fields[0]][n-1]
		if !slices.ContainsFunc(w.steps.offsets(served.Sub(w.began)), func(by time.Duration) bool {
			return served.Add(by).Sub(time.UnixMilli(at)).Abs() < most
		}) {
			if wrong++; wrong < 5 {
				t.Errorf("%s: %s has the time %s, it was served at %s", sink, key, time.UnixMilli(at), served)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d samples have a wrong time", sink, wrong)
	}
}

// mood is how a receiver answers.
type mood string

const (
	well       mood = "well"
	down       mood = "503"
	busy       mood = "429"
	broken     mood = "500"
	stranger   mood = "401"
	missing    mood = "404"
	loginPage  mood = "200 with a web page"
	portal     mood = "400 with a web page"
	redirect   mood = "302"
	refuseAll  mood = "400"
	refuseSome mood = "400 for one series"
	tooLarge   mood = "413"
	hanging    mood = "no answer"
	forgetful  mood = "stored without an answer"
)

var moods = []mood{down, busy, broken, stranger, missing, loginPage, portal, redirect, refuseAll, refuseSome, tooLarge, hanging, forgetful}

// fickle is a receiver whose mood decides how it answers.
type fickle struct {
	fate  *fate
	store func(http.ResponseWriter, *http.Request)

	mu       sync.Mutex
	mood     mood
	place    int
	requests int
	moods    map[mood]int
	seen     map[string]int64 // only for remote-write: the times of the stored samples, by job, series and number
}

func (f *fickle) serve(rw http.ResponseWriter, r *http.Request, place int) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	f.requests++
	now := f.mood
	if place != f.place {
		now = down
	}
	if f.moods == nil {
		f.moods = map[mood]int{}
	}
	f.moods[now]++
	f.mu.Unlock()
	const page = "<html><title>Log in</title></html>"
	switch now {
	case down, broken, stranger, missing:
		code, _ := strconv.Atoi(string(now))
		http.Error(rw, string(now), code)
	case busy:
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "slow down", http.StatusTooManyRequests)
	case loginPage:
		_, _ = io.WriteString(rw, page)
	case portal:
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, page)
	case redirect:
		http.Redirect(rw, r, "/login", http.StatusFound)
	case tooLarge:
		if f.seen != nil {
			f.store(rw, r) // store does not refuse the request if the receiver already has samples of this request
			return
		}
		http.Error(rw, "too large", http.StatusRequestEntityTooLarge)
	case hanging:
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
		panic(http.ErrAbortHandler)
	case forgetful:
		f.store(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		f.store(rw, r)
	}
}

// write stores the samples of a remote-write request. Like a real receiver, it accepts samples that it already has.
func (f *fickle) write(rw http.ResponseWriter, r *http.Request) {
	protocol := wire.V1
	if strings.Contains(r.Header.Get("Content-Type"), "v2") {
		protocol = wire.V2
	}
	packed, _ := io.ReadAll(r.Body)
	raw, err := snappy.Decode(nil, packed)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	q, err := wire.Decode(protocol, raw)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all, known := map[string]int64{}, false
	for item, err := range q.Items() {
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		key := fmt.Sprintf("%s %s %v", item.Labels.Get("job"), item.Labels.Get("of"), item.Value)
		all[key] = item.Time
		_, before := f.seen[key]
		known = known || before
	}
	stored := maps.Clone(all)
	code := http.StatusNoContent
	switch {
	case known: // the answer to an earlier request was lost: samples that were stored must not be refused
	case f.mood == refuseAll:
		stored, code = nil, http.StatusBadRequest
	case f.mood == tooLarge:
		stored, code = nil, http.StatusRequestEntityTooLarge
	case f.mood == refuseSome:
		maps.DeleteFunc(stored, func(key string, _ int64) bool { return strings.Contains(key, " s3 ") })
		if len(stored) < len(all) {
			code = http.StatusBadRequest
			if protocol == wire.V1 {
				stored = nil
			}
		}
	}
	maps.Copy(f.seen, stored)
	if protocol == wire.V2 {
		rw.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(stored)))
		rw.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
	}
	rw.WriteHeader(code)
}

// clockJump is a jump of the agent's clock.
type clockJump struct{ after, by time.Duration }

type clockJumps []clockJump

func (j clockJumps) String() string {
	var all []string
	for _, one := range j {
		all = append(all, fmt.Sprintf("%d:%d", int(one.after.Seconds()), int(one.by.Seconds())))
	}
	return strings.Join(all, " ")
}

// offsets returns the possible differences between the agent's clock and this machine's clock, at a time after the agent's start. There are
// several of them near a jump.
func (j clockJumps) offsets(at time.Duration) (all []time.Duration) {
	const slack = 4 * time.Second
	sum := time.Duration(0)
	for i, one := range j {
		if at < one.after+slack && (i == 0 || at > j[i-1].after-slack) {
			all = append(all, sum)
		}
		sum += one.by
	}
	if n := len(j); n == 0 || at > j[n-1].after-slack {
		all = append(all, sum)
	}
	return all
}

// fate is the environment of the agent: the API, the receivers, the disk and the clock.
type fate struct {
	random              *rand.Rand
	config, hosts, disk string
	isTmpfs             bool
	page, port          string
	began               time.Time
	steps               clockJumps
	gateway             *inprocess.Pushgateway
	receivers           map[string]*fickle // by the name of the sink

	mu     sync.Mutex
	served map[string][]time.Time // by job: the time at which the API answered with each number
	ended  bool                   // the API does not answer any more
	moved  int
	filled int
}

func newFate(t *testing.T, random *rand.Rand) *fate {
	w := &fate{random: random, served: map[string][]time.Time{}, gateway: inprocess.NewPushgateway(t), page: freeAddress(t)}
	dir := t.TempDir()
	w.hosts, w.disk = filepath.Join(dir, "hosts"), filepath.Join(dir, "disk")
	if err := os.Mkdir(w.disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if w.isTmpfs = syscall.Mount("tmpfs", w.disk, "tmpfs", 0, "size=1m") == nil; w.isTmpfs { // only root can
		t.Cleanup(func() { _ = syscall.Unmount(w.disk, syscall.MNT_DETACH) })
	} else {
		t.Log("no tmpfs can be mounted: the disk does not fill up")
	}
	w.receivers = map[string]*fickle{
		"push":   {fate: w, store: w.gateway.ServeHTTP},
		"memory": {fate: w, seen: map[string]int64{}}, "spool": {fate: w, seen: map[string]int64{}},
	}
	w.receivers["memory"].store, w.receivers["spool"].store = w.receivers["memory"].write, w.receivers["spool"].write
	w.listen(t)
	api := httptest.NewServer(http.HandlerFunc(w.api))
	t.Cleanup(api.Close)
	w.config = write(t, dir, "cton.yaml", fmt.Sprintf(everythingConfig, w.page, w.port, filepath.Join(w.disk, "kept"), filepath.Join(w.disk, "spool"), api.URL))
	steps := []time.Duration{-30 * time.Second, time.Hour, -time.Hour, -24 * time.Hour, 24 * time.Hour, 30 * time.Second}
	for at := 6 * time.Second; at < *everything; at += max(5*time.Second, *everything/60) {
		w.steps = append(w.steps, clockJump{at.Truncate(time.Second), steps[len(w.steps)%len(steps)]})
	}
	return w
}

// places has the addresses between which the receivers move.
var places = []string{"127.0.0.2", "127.0.0.3"}

// listen serves all receivers at both places, on the same port. A receiver answers with 503 at a place that it has left.
func (w *fate) listen(t *testing.T) {
	first, err := net.Listen("tcp", places[0]+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, w.port, _ = net.SplitHostPort(first.Addr().String())
	second, err := net.Listen("tcp", net.JoinHostPort(places[1], w.port))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range []net.Listener{first, second} {
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			name, _, _ := strings.Cut(r.Host, ".")
			if f := w.receivers[name]; f != nil {
				f.serve(rw, r, i)
			}
		})}}
		s.Start()
		t.Cleanup(s.Close)
	}
	w.move(0)
}

// move moves all receivers to a place.
func (w *fate) move(place int) {
	for _, f := range w.receivers {
		f.mu.Lock()
		f.place = place
		f.mu.Unlock()
	}
	text := fmt.Sprintf("%s push.test memory.test spool.test\n", places[place])
	if err := os.WriteFile(w.hosts+".new", []byte(text), 0o600); err == nil {
		_ = os.Rename(w.hosts+".new", w.hosts)
	}
}

func (w *fate) api(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	job := strings.TrimPrefix(r.URL.Path, "/")
	if w.ended {
		http.Error(rw, "closed", http.StatusServiceUnavailable)
		return
	}
	w.served[job] = append(w.served[job], time.Now())
	var items []string
	for i := range loadSeries {
		items = append(items, fmt.Sprintf(`{"name": "s%d", "n": %d}`, i, len(w.served[job])))
	}
	fmt.Fprintf(rw, `{"of": [%s]}`, strings.Join(items, ", "))
}

// goWrong makes things go wrong for a time.
func (w *fate) goWrong(ctx context.Context, t *testing.T) {
	place := 0
	filler := filepath.Join(w.disk, "filler")
	for time.Since(w.began) < *everything && ctx.Err() == nil {
		for _, f := range w.receivers {
			f.mu.Lock()
			f.mood = moods[w.random.IntN(len(moods))]
			if w.random.IntN(2) == 0 {
				f.mood = well
			}
			f.mu.Unlock()
		}
		if w.random.IntN(4) == 0 {
			place = 1 - place
			w.moved++
			w.move(place)
		}
		if w.isTmpfs && w.random.IntN(3) == 0 {
			w.filled++
			_ = os.WriteFile(filler, make([]byte, 2<<20), 0o600) // fails when the disk is full
		} else {
			_ = os.Remove(filler)
		}
		time.Sleep(time.Second + time.Duration(w.random.Int64N(int64(4*time.Second))))
	}
	_ = os.Remove(filler)
	for _, f := range w.receivers {
		f.mu.Lock()
		f.mood = well
		f.mu.Unlock()
	}
	t.Logf("%d jumps of the clock, %d moves, the disk was full %d times", len(w.steps), w.moved, w.filled)
}

// calm waits until the runs that have ended are delivered. It then makes all further runs fail, and waits for the last deliveries.
func (w *fate) calm(ctx context.Context, t *testing.T) {
	poll(ctx, t, "wait until all is delivered", func() error {
		own, err := w.own()
		if err != nil {
			return err
		}
		if len(own) == 0 {
			return errors.New("the page is empty")
		}
		for _, sink := range []string{"memory", "spool", "kept"} {
			if age, n := own["cton_sink_oldest_pending_age_seconds{sink=\""+sink+"\"}"], own["cton_sink_pending_samples{sink=\""+sink+"\"}"]; age > 3 || n > 100 {
				return fmt.Errorf("%s holds %v samples for %v s", sink, n, age)
			}
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	time.Sleep(35 * time.Second) // own metrics are on the page every 15 s, and the pause after a failed push is up to a minute
	poll(ctx, t, "wait until the Pushgateway has the last runs", func() error {
		for _, group := range []string{"", `,to="kept"`} {
			for job, at := range w.served {
				if want := fmt.Sprintf(`job=%q,of="s0"%s} %d`, job, group, len(at)); !strings.Contains(w.gateway.Text(t), want) {
					return fmt.Errorf("there is no %s in\n%s", want, w.gateway.Text(t))
				}
			}
		}
		return nil
	})
}

// own returns the samples of the sink page, by series.
func (w *fate) own() (map[string]float64, error) {
	resp, err := http.Get("http://" + w.page + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	ofCton := strings.NewReplacer(`{job="cton"}`, "", `job="cton",`, "", `,job="cton"`, "")
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, number, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(number, 64); err == nil {
			all[ofCton.Replace(name)] = n
		}
	}
	return all, nil
}
